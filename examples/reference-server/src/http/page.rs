//! Lists in pages, as arguments and answers of handlers ([`mt_http::page`]).

use mt_http::Cursors;
use mt_http::page::{self, DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT, Page, Place};
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request};
use salvo_oapi::schema::{BasicType, Object};
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn, ToSchema};
use serde::Serialize;

use super::openapi::describe::{may, pattern, takes};
use super::problem::ApiError;
use super::problems;

/// The `limit` and the `cursor` of a request, not yet tied to a list.
#[derive(Clone, Debug)]
pub struct PageQuery(page::PageQuery);

impl PageQuery {
    /// Returns the page that is asked for. `scope` names the list and everything that selects its rows, such as
    /// `tasks:{project_id}:{status}`.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the parameter, for a `cursor` that this list did not give out.
    pub fn of<K: Place>(self, cursors: &Cursors, scope: &str) -> Result<Page<K>, ApiError> {
        Ok(self.0.of(cursors, scope)?)
    }
}

impl<'ex> Extractible<'ex> for PageQuery {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("PageQuery");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Ok(Self(page::PageQuery::read(req.uri())?))
    }
}

impl EndpointArgRegister for PageQuery {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let limit = Object::with_type(BasicType::Integer)
            .minimum(1)
            .maximum(u32::from(MAX_LIMIT))
            .default_value(DEFAULT_LIMIT.into());
        takes(
            operation,
            ParameterIn::Query,
            "limit",
            "The largest number of items on the page.",
            limit,
        );
        let cursor = pattern("^[A-Za-z0-9_-]+$").max_length(MAX_CURSOR);
        let from = "The `next_cursor` of the page before. Good for this very list.";
        takes(operation, ParameterIn::Query, "cursor", from, cursor);
        may(operation, &[&problems::INVALID_REQUEST]);
    }
}

/// A page of a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last page.
    #[salvo(schema(required = true))]
    pub next_cursor: Option<String>,
}

impl<T> From<page::Listing<T>> for Listing<T> {
    fn from(listing: page::Listing<T>) -> Self {
        let page::Listing { items, next_cursor } = listing;
        Self { items, next_cursor }
    }
}
