//! The principal as an argument of a handler.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use mt_core::auth::Principal;
use mt_tower::problem::Problem;

use crate::Refusal;

/// The signed-in caller, as an argument of a handler. [`Authenticate`](mt_tower::authenticate::Authenticate) has to run
/// before it; otherwise the request fails with 500. `Option<Caller>` is `None` then.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get().copied().map(Self).ok_or_else(|| {
            tracing::error!("a route that needs a caller has no authentication guard before it");
            Problem::INTERNAL.into()
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied().map(Self))
    }
}
