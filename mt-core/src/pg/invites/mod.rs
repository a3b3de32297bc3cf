//! Invites: membership for whoever reads an address.
//!
//! An invite is bound to the address that it was sent to and to a role that its maker may give, both
//! when it is made and when it is accepted. It is used once, takes a seat while it is pending, and
//! never changes the role of somebody who is a member already.

mod accept;
mod manage;

use chrono::{DateTime, Utc};

pub use self::accept::{AcceptError, Accepted, accept};
pub use self::manage::{InviteError, NewInvite, RevokeError, invite, list, revoke};
use crate::id::InviteId;
use crate::word::Word;

/// An invite into the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invite<R> {
    /// Which one.
    pub id: InviteId,
    /// The address that it was sent to.
    pub email: String,
    /// The role that it gives.
    pub role: R,
    /// What has become of it.
    pub status: InviteStatus,
    /// When it ends, or ended.
    pub expires_at: DateTime<Utc>,
}

/// What has become of an invite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InviteStatus {
    /// It can be accepted.
    Pending,
    /// Somebody joined by it.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Its time ran out.
    Expired,
}

impl Word for InviteStatus {
    const ALL: &'static [Self] = &[Self::Pending, Self::Accepted, Self::Revoked, Self::Expired];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// [`Resource::ROWS`](super::Resource::ROWS) of a tenant's seats: its members, and the invites that
/// may yet be accepted.
pub const SEATS: &str = "select 1 from mt.memberships where tenant_id = (select mt.tenant_id()) \
     union all \
     select 1 from mt.invites where tenant_id = (select mt.tenant_id()) \
         and accepted_at is null and revoked_at is null and expires_at > now()";
