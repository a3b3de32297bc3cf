//! The error of endpoints.

use mt_core::access::{AccessError, Denied};
use mt_core::pg::api_keys::ApiKeyError;
use mt_core::pg::idempotency::{IdempotencyError, KeyReused};
use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
use mt_core::pg::roles::RoleError;
use mt_core::pg::service_accounts::ServiceAccountError;
use mt_core::pg::{BeginError, CapReached, MemberError, PgError, RedeemError};
use mt_tower::problem::Problem;

/// A problem, and whether the decision on the caller's access gave it. One that it did not give waits for the decision: a
/// caller without access gets 404, 403 or 402 whatever else is wrong with the request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    pub(crate) is_decision: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, is_decision: false }
    }
}

impl From<BeginError> for Refusal {
    fn from(error: BeginError) -> Self {
        Self { problem: error.into(), is_decision: true }
    }
}

macro_rules! from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Problem::from(error).into()
            }
        })*
    };
}

from!(
    AcceptError,
    AccessError,
    ApiKeyError,
    CapReached,
    Denied,
    IdempotencyError,
    InviteError,
    KeyReused,
    MemberError,
    PgError,
    RedeemError,
    RevokeError,
    RoleError,
    ServiceAccountError,
);
