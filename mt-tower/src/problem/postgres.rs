//! Problems for the errors of `mt_core::pg`.
//!
//! A problem carries no cause, so these conversions log it: as a warning if the database is away, as an
//! error if the program is at fault. Refusals of the caller are not logged.
//!
//! | error | problems |
//! | --- | --- |
//! | [`PgError`] | 503 `unavailable`, 500 `internal` |
//! | [`BeginError`] | 404 `not-found`, 401 `unauthenticated`, those of [`Denied`](mt_core::access::Denied) |
//! | [`CapReached`] | 402 `cap-reached` with `cap` and `resource` |
//! | [`MemberError`] | 403 `forbidden`, 404 `not-found`, 409 `last-owner` |
//! | [`RoleError`] | 403 `forbidden`, 404 `not-found`, 409 `conflict`, with `members` and `invites` if they have the role |
//! | [`ApiKeyError`], [`ServiceAccountError`] | 403 `forbidden`, 404 `not-found`, 409 `conflict`, 422 `invalid-fields` |
//! | [`InviteError`], [`RevokeError`] | 403 `forbidden`, 404 `not-found`, 409 `already-member`, 409 `conflict` |
//! | [`AcceptError`] | 400 `invite-invalid`, 403 `forbidden`, 409 `already-member` |
//! | [`RedeemError`] | 400 `magic-link-expired`, `magic-link-invalid`, `magic-link-used` |
//! | [`SlugError`] | 409 `slug-taken` |
//! | [`VerifyError`] | 404 `not-found`, 409 `domain-not-verified` with `record` and `value`, 409 `domain-taken`, 503 `unavailable` |
//! | [`KeyReused`], [`IdempotencyError`] | 409 `idempotency-mismatch` |

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use mt_core::pg::api_keys::ApiKeyError;
use mt_core::pg::domains::VerifyError;
use mt_core::pg::idempotency::{IdempotencyError, KeyReused};
use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
use mt_core::pg::roles::RoleError;
use mt_core::pg::service_accounts::ServiceAccountError;
use mt_core::pg::{BeginError, CapReached, MemberError, PgError, RedeemError, SlugError};

use super::{FieldError, Problem};

/// Shorter than for other outages: a failover or a busy pool is over within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<PgError> for Problem {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Unavailable(_) => {
                tracing::warn!(cause = error.source(), "{error}");
                Self::unavailable().with_retry_after(RETRY_AFTER)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Denied(denied) => denied.into(),
            BeginError::NotAMember => Self::NOT_FOUND,
            BeginError::Pg(error) => error.into(),
            BeginError::SignedOut => Self::invalid_token(),
            other => Self::internal(&other),
        }
    }
}

impl From<CapReached> for Problem {
    fn from(reached: CapReached) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "cap-reached", "The plan allows no more of these")
            .with_detail(reached.to_string())
            .with_member("cap", reached.cap)
            .with_member("resource", reached.resource)
    }
}

impl From<MemberError> for Problem {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Forbidden => Self::FORBIDDEN,
            MemberError::LastOwner => {
                Self::new(StatusCode::CONFLICT, "last-owner", "A tenant needs an owner")
            }
            MemberError::NotFound | MemberError::UnknownRole => Self::NOT_FOUND,
            MemberError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<RoleError> for Problem {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Forbidden => Self::FORBIDDEN,
            RoleError::InUse { members, invites } => conflict(error.to_string())
                .with_member("members", members)
                .with_member("invites", invites),
            RoleError::NameTaken | RoleError::TooMany => conflict(error.to_string()),
            RoleError::NotFound => Self::NOT_FOUND,
            RoleError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::ByKey => Self::FORBIDDEN.with_detail(error.to_string()),
            ApiKeyError::CapReached(reached) => reached.into(),
            ApiKeyError::Forbidden => Self::FORBIDDEN,
            ApiKeyError::Gains(_) => invalid_field("/permissions", error.to_string()),
            ApiKeyError::Name => invalid_name(error.to_string()),
            ApiKeyError::NotFound => Self::NOT_FOUND,
            ApiKeyError::TwoInUse => conflict(error.to_string()),
            ApiKeyError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<ServiceAccountError> for Problem {
    fn from(error: ServiceAccountError) -> Self {
        match error {
            ServiceAccountError::Forbidden => Self::FORBIDDEN,
            ServiceAccountError::Name => invalid_name(error.to_string()),
            ServiceAccountError::NameTaken => conflict(error.to_string()),
            ServiceAccountError::NotFound => Self::NOT_FOUND,
            ServiceAccountError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::AlreadyMember => already_member(),
            InviteError::CapReached(reached) => reached.into(),
            InviteError::Forbidden => Self::FORBIDDEN,
            InviteError::Pg(error) => error.into(),
            InviteError::UnknownRole => Self::NOT_FOUND,
            other => Self::internal(&other),
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Accepted => conflict("the invite was accepted"),
            RevokeError::NotFound => Self::NOT_FOUND,
            RevokeError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::AlreadyMember => already_member(),
            AcceptError::CapReached(reached) => reached.into(),
            AcceptError::Denied(denied) => denied.into(),
            AcceptError::Invalid => {
                Self::new(StatusCode::BAD_REQUEST, "invite-invalid", "The invite cannot be used")
            }
            AcceptError::OtherAddress => {
                Self::FORBIDDEN.with_detail("the invite was sent to another address")
            }
            AcceptError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<RedeemError> for Problem {
    fn from(error: RedeemError) -> Self {
        let refused = |code, title| Self::new(StatusCode::BAD_REQUEST, code, title);
        match error {
            RedeemError::Expired => refused("magic-link-expired", "The sign-in link has expired"),
            // An address that an earlier version stored and that this one does not accept.
            RedeemError::Address(_) | RedeemError::Invalid => {
                refused("magic-link-invalid", "The sign-in link is not valid")
            }
            RedeemError::Pg(error) => error.into(),
            RedeemError::Used => refused("magic-link-used", "The sign-in link was already used"),
            other => Self::internal(&other),
        }
    }
}

impl From<SlugError> for Problem {
    fn from(error: SlugError) -> Self {
        match error {
            SlugError::Pg(error) => error.into(),
            SlugError::Taken => {
                Self::new(StatusCode::CONFLICT, "slug-taken", "Another tenant has this slug")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let refused = |code, title| Self::new(StatusCode::CONFLICT, code, title);
        match error {
            VerifyError::NotProved { name, value } => {
                refused("domain-not-verified", "The domain has no TXT record that proves control")
                    .with_member("record", name)
                    .with_member("value", value)
            }
            VerifyError::Pg(error) => error.into(),
            VerifyError::Removed => Self::NOT_FOUND,
            VerifyError::Taken => {
                refused("domain-taken", "Another tenant has verified this domain")
            }
            // Not logged: the name servers are the tenant's.
            VerifyError::Unavailable(error) => Self::unavailable().with_detail(error.to_string()),
            other => Self::internal(&other),
        }
    }
}

impl From<KeyReused> for Problem {
    fn from(KeyReused: KeyReused) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "idempotency-mismatch",
            "The idempotency key was used for another request",
        )
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::KeyReused(reused) => reused.into(),
            IdempotencyError::Pg(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

fn conflict(detail: impl Into<Cow<'static, str>>) -> Problem {
    let title = "Not possible in the present state";
    Problem::new(StatusCode::CONFLICT, "conflict", title).with_detail(detail)
}

fn invalid_name(detail: String) -> Problem {
    invalid_field("/name", detail)
}

fn invalid_field(pointer: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "Some fields are not valid")
        .with_errors(vec![FieldError::new(pointer, detail)])
}

fn already_member() -> Problem {
    Problem::new(StatusCode::CONFLICT, "already-member", "Already a member")
}

#[cfg(test)]
mod tests {
    use mt_core::access::Denied;
    use mt_core::pg::domains::DnsError;

    use super::*;

    fn shown(problem: impl Into<Problem>) -> (u16, &'static str) {
        let problem = problem.into();
        (problem.status().as_u16(), problem.code())
    }

    #[test]
    fn errors_become_the_problems_of_the_table() {
        assert_eq!(shown(BeginError::NotAMember), (404, "not-found"));
        assert_eq!(shown(BeginError::SignedOut), (401, "unauthenticated"));
        assert_eq!(shown(BeginError::Denied(Denied::Forbidden)), (403, "forbidden"));
        assert_eq!(shown(MemberError::LastOwner), (409, "last-owner"));
        assert_eq!(shown(MemberError::NotFound), (404, "not-found"));
        assert_eq!(shown(MemberError::UnknownRole), (404, "not-found"));
        assert_eq!(shown(RoleError::InUse { members: 1, invites: 0 }), (409, "conflict"));
        assert_eq!(shown(RoleError::NotFound), (404, "not-found"));
        assert_eq!(shown(ApiKeyError::ByKey), (403, "forbidden"));
        assert_eq!(shown(ApiKeyError::Name), (422, "invalid-fields"));
        assert_eq!(shown(ApiKeyError::NotFound), (404, "not-found"));
        assert_eq!(shown(ApiKeyError::TwoInUse), (409, "conflict"));
        assert_eq!(shown(ServiceAccountError::Forbidden), (403, "forbidden"));
        assert_eq!(shown(ServiceAccountError::NameTaken), (409, "conflict"));
        assert_eq!(shown(InviteError::AlreadyMember), (409, "already-member"));
        assert_eq!(shown(RevokeError::Accepted), (409, "conflict"));
        assert_eq!(shown(AcceptError::Invalid), (400, "invite-invalid"));
        assert_eq!(shown(AcceptError::OtherAddress), (403, "forbidden"));
        assert_eq!(shown(RedeemError::Expired), (400, "magic-link-expired"));
        assert_eq!(shown(RedeemError::Invalid), (400, "magic-link-invalid"));
        assert_eq!(shown(RedeemError::Used), (400, "magic-link-used"));
        assert_eq!(shown(SlugError::Taken), (409, "slug-taken"));
        let (name, value) = ("_mt-challenge.acme.test".to_owned(), "x".to_owned());
        assert_eq!(shown(VerifyError::NotProved { name, value }), (409, "domain-not-verified"));
        assert_eq!(shown(VerifyError::Removed), (404, "not-found"));
        assert_eq!(shown(VerifyError::Taken), (409, "domain-taken"));
        let unavailable = VerifyError::Unavailable(DnsError::new("no answer"));
        assert_eq!(shown(unavailable), (503, "unavailable"));
        assert_eq!(shown(KeyReused), (409, "idempotency-mismatch"));
        assert_eq!(shown(CapReached { resource: "projects", cap: 3 }), (402, "cap-reached"));
    }
}
