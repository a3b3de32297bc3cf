//! Errors as [`ApiError`]s. The cause of a failure is logged in these conversions, and only there.

use std::error::Error;

use mt_core::access::Denied;
use mt_core::pg::idempotency::{IdempotencyError, KeyReused};
use mt_core::pg::{BeginError, CapReached, PgError};
use mt_tower::problem::Problem;

use crate::http::problem::ApiError;

/// Errors for which the library has a problem.
macro_rules! from_library {
    ($($error:ty),+ $(,)?) => {
        $(
            impl From<$error> for ApiError {
                fn from(error: $error) -> Self {
                    Problem::from(error).into()
                }
            }
        )+
    };
}

from_library!(CapReached, Denied, IdempotencyError, KeyReused, PgError);

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        Self::from(Problem::from(error)).by_decision()
    }
}

/// A failure of the server: the client learns that there was one, the log has its cause.
pub(crate) fn internal(error: &dyn Error) -> ApiError {
    Problem::internal(error).into()
}

#[cfg(test)]
mod tests {
    use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
    use mt_core::pg::{MemberError, RedeemError};

    use super::*;

    /// A code that is missing from the catalogue would become `internal`.
    #[test]
    fn each_problem_of_the_library_is_in_the_catalogue() {
        for problem in [
            Problem::BILLING_REQUIRED,
            Problem::FORBIDDEN,
            Problem::NOT_FOUND,
            Problem::TENANT_SUSPENDED,
            Problem::UNAUTHENTICATED,
            Problem::rate_limited(std::time::Duration::ZERO),
            Problem::unavailable(),
            AcceptError::Invalid.into(),
            CapReached { resource: "projects", cap: 3 }.into(),
            InviteError::AlreadyMember.into(),
            KeyReused.into(),
            MemberError::LastOwner.into(),
            RedeemError::Expired.into(),
            RedeemError::Invalid.into(),
            RedeemError::Used.into(),
            RevokeError::Accepted.into(),
        ] {
            let ours = ApiError::from(problem.clone());
            assert_eq!(ours.problem().status(), problem.status(), "{}", problem.code());
            assert_ne!(ours.problem().code(), "internal", "{}", problem.code());
        }
    }
}
