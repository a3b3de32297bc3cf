//! The caller's access, for handlers and extractors.
//!
//! [`access_request`] returns the [`AccessRequest`] that opens a transaction, which decides on it. [`authorize`] decides
//! on the access that [`LoadAccess`](crate::load_access::LoadAccess) has loaded, for data that is not behind a
//! transaction.
//!
//! # When it refuses
//!
//! * 403 `forbidden`, 403 `tenant-suspended`, 402 `billing-required`: [`authorize`] only, see [`Access::authorize`];
//! * 500 `internal`: the guard whose result is needed did not run.
//!
//! # Example
//!
//! An extractor for axum:
//!
//! ```
//! use axum::extract::FromRequestParts;
//! use axum::response::{IntoResponse as _, Response};
//! use http::request::Parts;
//! use mt_core::access::{AccessRequest, Permission};
//! use mt_tower::authorize::access_request;
//!
//! struct InTenant<P: Permission>(AccessRequest<P>);
//!
//! impl<P: Permission, S: Sync> FromRequestParts<S> for InTenant<P> {
//!     type Rejection = Response;
//!
//!     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
//!         match access_request(&parts.extensions) {
//!             Ok(request) => Ok(Self(request)),
//!             Err(problem) => Err(problem.into_response::<axum::body::Body>(None).into_response()),
//!         }
//!     }
//! }
//! ```

use http::Extensions;
use mt_core::access::{Access, AccessRequest, Grant, Permission};
use mt_core::auth::Principal;

use crate::guard;
use crate::problem::Problem;
use crate::resolve_tenant::RequestedTenant;

/// Returns the caller's request for permission `P` in the tenant that the request names. Nothing is decided yet.
///
/// It needs [`Authenticate`](crate::authenticate::Authenticate) and
/// [`ResolveTenant`](crate::resolve_tenant::ResolveTenant) before it.
///
/// # Errors
///
/// The [`Problem`] to answer with; see the [module docs](self).
pub fn access_request<P: Permission>(extensions: &Extensions) -> Result<AccessRequest<P>, Problem> {
    let principal = *guard::require::<Principal>(extensions)?;
    let RequestedTenant(tenant) = *guard::require(extensions)?;
    Ok(AccessRequest::new(principal, tenant))
}

/// Returns a grant of `P` in the tenant of the request.
///
/// It needs [`LoadAccess`](crate::load_access::LoadAccess) before it.
///
/// # Errors
///
/// The [`Problem`] to answer with; see the [module docs](self).
pub fn authorize<P: Permission>(extensions: &Extensions) -> Result<Grant<P>, Problem> {
    Ok(guard::require::<Access<P::Model>>(extensions)?.authorize::<P>()?)
}
