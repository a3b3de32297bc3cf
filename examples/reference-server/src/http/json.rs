//! JSON bodies as arguments of handlers.
//!
//! What is wrong with a body is answered after the decision on the caller's access
//! ([`Undecided`](super::caller::Undecided)): a stranger sees 404 whatever the body.
//!
//! ```
//! use reference_server::http::caller::InOrg;
//! use reference_server::http::fields::Name;
//! use reference_server::http::json::Body;
//! use reference_server::model::ProjectsCreate;
//! use salvo::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct NewProject {
//!     name: Name,
//! }
//!
//! #[handler]
//! async fn create(org: InOrg<ProjectsCreate>, body: Body<NewProject>) -> String {
//!     format!("{} in {}", body.0.name.as_str(), org.0.tenant())
//! }
//! ```

use mt_http::body::Received;
use mt_http::json;
use salvo::extract::{Extractible, Metadata};
use salvo::{Depot, Request};
use salvo_oapi::{Components, EndpointArgRegister, Operation, ToSchema};
use serde::de::DeserializeOwned;

use super::openapi::describe::{may, takes_json};
use super::problem::ApiError;
use super::problems;

/// The body of a request, a JSON object of the shape of `T`, which should say `deny_unknown_fields`.
///
/// See [`mt_http::json`] for what is refused, and in which order.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<'ex, T: DeserializeOwned + Send> Extractible<'ex> for Body<T> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Body");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(req: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Ok(Self(json::from_slice(&bytes(req).await?)?))
    }
}

impl<T: ToSchema> EndpointArgRegister for Body<T> {
    fn register(components: &mut Components, operation: &mut Operation, _: &str) {
        takes_json::<T>(components, operation);
        may(
            operation,
            &[
                &problems::INVALID_REQUEST,
                &problems::TOO_LARGE,
                &problems::UNSUPPORTED_MEDIA_TYPE,
                &problems::INVALID_FIELDS,
            ],
        );
    }
}

/// Reads the body of `req`, which has to say that it is JSON.
///
/// # Errors
///
/// As [`json::read`].
pub async fn bytes(req: &mut Request) -> Result<Received, ApiError> {
    let body = req.take_body();
    let budget = req.extensions().get().cloned().unwrap_or_default();
    Ok(json::read(req.headers(), body, &budget).await?)
}
