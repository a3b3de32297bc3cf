//! Entity tags and the conditions that name them ([`mt_http::etag`]), as arguments and answers of handlers.

use std::marker::PhantomData;

use mt_http::etag;
pub use mt_http::etag::ETag;
use salvo::extract::{Extractible, Metadata};
use salvo::http::header;
use salvo::prelude::*;
use salvo_oapi::{
    Components, EndpointArgRegister, EndpointOutRegister, Operation, ParameterIn, ToSchema,
};
use serde::Serialize;

use super::openapi::describe::{gives, gives_json, may, takes, text};
use super::problem::ApiError;
use super::problems;

/// `If-Match`: change it only if it is what the client has seen. Absent: change it.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(etag::IfMatch);

/// `If-None-Match`: show it only if it is not what the client has. Absent: show it.
#[derive(Clone, Debug, Default)]
pub struct IfNoneMatch(etag::IfNoneMatch);

impl IfMatch {
    /// Lets the change go on.
    ///
    /// # Errors
    ///
    /// As [`etag::IfMatch::check`].
    pub fn check(&self, current: &ETag) -> Result<(), ApiError> {
        Ok(self.0.check(current)?)
    }
}

macro_rules! from_header {
    ($condition:ident) => {
        impl<'ex> Extractible<'ex> for $condition {
            fn metadata() -> &'static Metadata {
                static METADATA: Metadata = Metadata::new(stringify!($condition));
                &METADATA
            }

            #[expect(refining_impl_trait, reason = "there is nothing to refuse")]
            async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
                Ok(Self(etag::$condition::read(req.headers())))
            }
        }
    };
}

from_header!(IfMatch);
from_header!(IfNoneMatch);

impl EndpointArgRegister for IfMatch {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let description =
            "The entity tag that the resource must have; otherwise the answer is 412.";
        takes(operation, ParameterIn::Header, "if-match", description, text());
        may(operation, &[&problems::PRECONDITION_FAILED]);
    }
}

impl EndpointArgRegister for IfNoneMatch {
    fn register(_: &mut Components, operation: &mut Operation, _: &str) {
        let description =
            "The entity tag that the client has; if the resource still has it, the answer is 304.";
        takes(operation, ParameterIn::Header, "if-none-match", description, text());
        gives(operation, "304", salvo_oapi::Response::new("Not modified."), &[ETAG]);
    }
}

/// What answers say of the header.
pub(super) const ETAG: (&str, &str) = ("etag", "Tells this state from any other.");

/// 200 with what `T` shows and its entity tag, or 304 where the client has it.
#[derive(Debug)]
pub struct Tagged<T> {
    json: Vec<u8>,
    tag: ETag,
    known: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize> Tagged<T> {
    /// Shows `shown`.
    pub fn new(shown: &T) -> Self {
        let json = super::to_json(shown);
        Self { tag: ETag::of_json(&json), json, known: false, of: PhantomData }
    }

    /// Shows `shown` unless the client has it.
    pub fn unless(known: &IfNoneMatch, shown: &T) -> Self {
        let new = Self::new(shown);
        Self { known: known.0.knows(&new.tag), ..new }
    }
}

impl<T: ToSchema> EndpointOutRegister for Tagged<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        gives_json::<T>(components, operation, "200", "The resource.", &[ETAG]);
    }
}

impl<T> Scribe for Tagged<T> {
    fn render(self, res: &mut Response) {
        res.headers_mut().insert(header::ETAG, self.tag.to_header());
        if self.known {
            res.status_code(StatusCode::NOT_MODIFIED);
        } else {
            super::answer::json(res, self.json);
        }
    }
}
