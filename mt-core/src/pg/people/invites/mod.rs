//! Invites: a membership for the person who reads an e-mail address.
//!
//! An invite is bound to the address that it was sent to and to a role that its maker may give, both
//! when it is made and when it is accepted. It is used once, takes a seat while it is pending, and
//! never changes the role of a person who is a member already.

mod accept;
mod manage;
mod purge;

use chrono::{DateTime, Utc};

pub use self::accept::{AcceptError, Accepted, accept};
pub use self::manage::{InviteError, InviteTerms, NewInvite, RevokeError, invite, list, revoke};
pub use self::purge::purge;
use crate::id::InviteId;

/// An invite into the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invite<R> {
    /// The invite's id.
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

crate::text_enum! {
    /// What has become of an invite.
    pub enum InviteStatus {
        /// It can be accepted.
        Pending = "pending",
        /// It was accepted.
        Accepted = "accepted",
        /// It was taken back.
        Revoked = "revoked",
        /// Its time ran out.
        Expired = "expired",
    }
}

/// [`Resource::ROWS`](crate::pg::Resource::ROWS) of a tenant's seats: its members, and the invites that
/// may yet be accepted.
pub const SEATS: &str = "select 1 from mt.memberships where tenant_id = (select mt.tenant_id()) \
     union all \
     select 1 from mt.invites where tenant_id = (select mt.tenant_id()) \
         and accepted_at is null and revoked_at is null and expires_at > now()";
