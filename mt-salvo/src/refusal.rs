//! The error of handlers.

use mt_core::access::{AccessError, Denied};
use mt_tower::problem::{Problem, ProblemJson, Reject as _};
use salvo::{Depot, Request, Response, Writer, async_trait};

use crate::guard::replace;

/// A [`Problem`] as the response of a handler, `application/problem+json`.
///
/// Errors of `mt-core` become one by `?`. Add those of your own with `impl From<YourError> for Refusal`.
#[derive(Clone, Debug)]
#[must_use = "a refusal does nothing until it is returned"]
pub struct Refusal(pub Problem);

#[async_trait]
impl Writer for Refusal {
    async fn write(self, req: &mut Request, _: &mut Depot, res: &mut Response) {
        replace(res, ProblemJson::default().reject(&self.0, req.extensions()));
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

macro_rules! from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        })*
    };
}

from!(AccessError, Denied);

#[cfg(feature = "postgres")]
mod postgres {
    use mt_core::pg::idempotency::{IdempotencyError, KeyReused};
    use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
    use mt_core::pg::{BeginError, CapReached, MemberError, PgError, RedeemError};

    use super::Refusal;

    from!(
        AcceptError,
        BeginError,
        CapReached,
        IdempotencyError,
        InviteError,
        KeyReused,
        MemberError,
        PgError,
        RedeemError,
        RevokeError,
    );
}
