//! Checks a permission against the access that was loaded for a request.
//!
//! Handlers and extractors call [`authorize`] for the [`Grant`] that opens a transaction.
//! [`Require`](crate::require::Require) makes the same check as a guard, without a grant.
//!
//! # When it refuses
//!
//! * 403 `forbidden`, 403 `tenant-suspended`, 402 `billing-required`: see [`Access::authorize`];
//! * 500 `internal`: no access was loaded before.
//!
//! A refusal never rests on something remembered: where the access
//! [is cached](Access::is_cached), it is read anew first, and the answer may become any of
//! [`LoadAccess`](crate::load_access::LoadAccess)'s.
//!
//! # Example
//!
//! An extractor for axum:
//!
//! ```
//! use axum::extract::FromRequestParts;
//! use axum::response::{IntoResponse as _, Response};
//! use http::request::Parts;
//! use mt_core::access::{Grant, Permission};
//! use mt_tower::authorize::authorize;
//!
//! struct Authorized<P: Permission>(Grant<P>);
//!
//! impl<P: Permission, S: Sync> FromRequestParts<S> for Authorized<P> {
//!     type Rejection = Response;
//!
//!     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
//!         match authorize(&mut parts.extensions).await {
//!             Ok(grant) => Ok(Self(grant)),
//!             Err(problem) => Err(problem.into_response::<axum::body::Body>(None).into_response()),
//!         }
//!     }
//! }
//! ```

use http::Extensions;
use mt_core::access::{Access, AccessModel, Grant, Permission};

use crate::guard;
use crate::load_access::Reload;
use crate::problem::Problem;

/// A grant of `P` in the tenant of the request.
///
/// # Errors
///
/// The [`Problem`] to answer with; see the [module docs](self).
pub async fn authorize<P: Permission>(extensions: &mut Extensions) -> Result<Grant<P>, Problem> {
    decide(extensions, |access: &Access<P::Model>| Ok(access.authorize::<P>()?)).await
}

/// Decides on the request's access, and once more on a fresh one before refusing on a cached one.
pub(crate) async fn decide<M, T, F>(extensions: &mut Extensions, decision: F) -> Result<T, Problem>
where
    M: AccessModel,
    F: Fn(&Access<M>) -> Result<T, Problem>,
{
    let access = guard::require::<Access<M>>(extensions)?;
    let (principal, tenant) = (access.principal(), access.tenant());
    let problem = match decision(access) {
        Err(problem) if access.is_cached() => problem,
        decided => return decided,
    };
    let Some(reload) = extensions.get::<Reload<M>>().cloned() else { return Err(problem) };
    let fresh = reload.access(principal, tenant).await?;
    let decided = decision(&fresh);
    extensions.insert(fresh);
    decided
}
