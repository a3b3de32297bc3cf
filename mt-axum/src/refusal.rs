//! The error of handlers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use mt_core::access::{AccessError, Denied};
use mt_core::pg::idempotency::{IdempotencyError, KeyReused};
use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
use mt_core::pg::{BeginError, CapReached, MemberError, PgError, RedeemError};
use mt_tower::problem::Problem;

use crate::request::WithoutId;

/// The result of a handler.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A [`Problem`] as the response of a handler, `application/problem+json`.
///
/// Behind [`guarded`](crate::guarded), as in [`Routes`](crate::Routes), it shows the request's id. Errors of `mt-core`
/// become one by `?`. Add those of your own with `impl From<YourError> for Refusal`.
///
/// ```
/// use http::StatusCode;
/// use mt_axum::{Refusal, Result};
/// use mt_tower::problem::Problem;
///
/// struct OutOfStock;
///
/// impl From<OutOfStock> for Refusal {
///     fn from(_: OutOfStock) -> Self {
///         Self(Problem::new(StatusCode::CONFLICT, "out-of-stock", "Out of stock"))
///     }
/// }
///
/// async fn order() -> Result<()> {
///     Err(OutOfStock)?
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a refusal does nothing until it is returned"]
pub struct Refusal(pub Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response::<Body>(None);
        response.extensions_mut().insert(WithoutId);
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

// One for each, because a blanket conversion would leave no room for the embedder's own.
macro_rules! from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        })*
    };
}

from!(
    AcceptError,
    AccessError,
    BeginError,
    CapReached,
    Denied,
    IdempotencyError,
    InviteError,
    KeyReused,
    MemberError,
    PgError,
    RedeemError,
    RevokeError,
);
