//! What the library's refusals are on the wire, and where failures are logged: here, once.

use std::error::Error;

use mt_core::access::{AccessError, Denied};
use mt_core::pg::invites::{AcceptError, InviteError, RevokeError};
use mt_core::pg::{BeginError, CapReached, PgError, RedeemError, RosterError};
use salvo::http::HeaderValue;
use salvo::http::header::WWW_AUTHENTICATE;

use crate::http::problem::{ApiError, FieldError};
use crate::http::problems;
use crate::mail::NotTaken;

impl From<PgError> for ApiError {
    fn from(error: PgError) -> Self {
        match &error {
            PgError::Unavailable(cause) => {
                tracing::warn!(cause = %cause, "{error}");
                Self::new(&problems::UNAVAILABLE)
            }
            _ => internal(&error),
        }
    }
}

impl From<NotTaken> for ApiError {
    fn from(refused: NotTaken) -> Self {
        Self::invalid_fields(vec![FieldError::new("/email", refused.to_string())])
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => Self::new(&problems::FORBIDDEN),
            Denied::NotAMember => Self::not_found(),
            Denied::PaymentRequired => Self::new(&problems::BILLING_REQUIRED),
            Denied::Suspended => Self::new(&problems::ORG_SUSPENDED),
            other => internal(&other),
        }
    }
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Denied(denied) => denied.into(),
            BeginError::NotAMember => Self::not_found(),
            BeginError::Pg(error) => error.into(),
            BeginError::SignedOut => signed_out(),
            other => internal(&other),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match &error {
            AccessError::NotAMember => Self::not_found(),
            AccessError::SignedOut => signed_out(),
            AccessError::Unavailable(cause) => {
                tracing::warn!(%cause, "{error}");
                Self::new(&problems::UNAVAILABLE)
            }
            _ => internal(&error),
        }
    }
}

impl From<CapReached> for ApiError {
    fn from(reached: CapReached) -> Self {
        Self::new(&problems::CAP_REACHED)
            .detail(reached.to_string())
            .member("resource", reached.resource)
            .member("cap", reached.cap)
    }
}

impl From<RosterError> for ApiError {
    fn from(error: RosterError) -> Self {
        match error {
            RosterError::Forbidden => Self::new(&problems::FORBIDDEN),
            RosterError::LastOwner => Self::new(&problems::LAST_OWNER),
            RosterError::NotFound => Self::not_found(),
            RosterError::Pg(error) => error.into(),
            other => internal(&other),
        }
    }
}

impl From<InviteError> for ApiError {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::AlreadyMember => Self::new(&problems::ALREADY_MEMBER),
            InviteError::CapReached(reached) => reached.into(),
            InviteError::Forbidden => Self::new(&problems::FORBIDDEN),
            InviteError::Pg(error) => error.into(),
            other => internal(&other),
        }
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Accepted => {
                Self::new(&problems::CONFLICT).detail("the invite was accepted")
            }
            RevokeError::NotFound => Self::not_found(),
            RevokeError::Pg(error) => error.into(),
            other => internal(&other),
        }
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::AlreadyMember => Self::new(&problems::ALREADY_MEMBER),
            AcceptError::CapReached(reached) => reached.into(),
            AcceptError::Denied(denied) => denied.into(),
            AcceptError::Invalid => Self::new(&problems::INVITE_INVALID),
            AcceptError::OtherAddress => {
                Self::new(&problems::FORBIDDEN).detail("the invite was sent to another address")
            }
            AcceptError::Pg(error) => error.into(),
            other => internal(&other),
        }
    }
}

impl From<RedeemError> for ApiError {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Expired => Self::new(&problems::MAGIC_LINK_EXPIRED),
            // A link of an earlier version, to an address that is none any more.
            RedeemError::Address(_) | RedeemError::Invalid => {
                Self::new(&problems::MAGIC_LINK_INVALID)
            }
            RedeemError::Pg(error) => error.into(),
            RedeemError::Used => Self::new(&problems::MAGIC_LINK_USED),
            other => internal(&other),
        }
    }
}

/// A credential that was good once (RFC 6750 §3.1).
pub(crate) fn signed_out() -> ApiError {
    ApiError::new(&problems::UNAUTHENTICATED)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#))
}

/// A failure of ours: the client learns that there was one, the log learns which.
pub(crate) fn internal(error: &dyn Error) -> ApiError {
    tracing::error!(cause = error.source(), "{error}");
    ApiError::new(&problems::INTERNAL)
}
