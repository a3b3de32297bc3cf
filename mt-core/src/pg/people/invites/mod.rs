//! Invites: a membership for the person who reads an e-mail address.
//!
//! An invite is bound to the address that it was sent to and to a role that its maker may give, both
//! when it is made and when it is accepted. It is used once, takes a seat while it is pending, and
//! never changes the role of a person who is a member already.
//!
//! ```
//! use std::time::Duration;
//!
//! use mt_core::access::AccessRequest;
//! use mt_core::auth::Principal;
//! use mt_core::billing::StandingPolicy;
//! use mt_core::email::EmailAddress;
//! use mt_core::pg::invites::{self, InviteTerms};
//! use mt_core::pg::{SystemReason, Tenant, User};
//! use mt_core::testing::TestDatabase;
//! use mt_core::token::TokenHasher;
//!
//! mt_core::model! {
//!     pub Shop;
//!     roles Role { Owner = "owner" (owner), Clerk = "clerk" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Permission { MembersInvite = "members.invite" [yes no] [yes] required write; }
//!     caps { Seats of members { Free: 4 } }
//! }
//!
//! const EXAMPLE: SystemReason = SystemReason::new("show invites");
//! const TERMS: InviteTerms = InviteTerms { ttl: Duration::from_hours(24), mail_interval: None };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
//! # let db = TestDatabase::create().await?;
//! # let database = db.connect(2).await?;
//! # let (standing, hasher) = (StandingPolicy::default(), TokenHasher::new(b"32 bytes or more that are secret"));
//! # let mut tx = database.system().begin(EXAMPLE).await?;
//! # let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
//! # let bob = User::find_or_create(&mut tx, &EmailAddress::parse("bob@example.org")?).await?;
//! # let shop = Tenant::create::<Shop>(&mut tx, "a shop", ada.id).await?;
//! # tx.commit().await?;
//! let tenants = database.tenants::<Shop>(standing.clone());
//! let request = AccessRequest::<MembersInvite>::new(Principal::new(ada.id), shop.id);
//! let (mut tx, seats) = tenants.begin(request).exclusive().capped::<Seats>().await?;
//! let address = EmailAddress::parse("bob@example.org")?;
//! let invite = invites::invite(&mut tx, seats, &hasher, &address, Role::Clerk, TERMS).await?;
//! tx.commit().await?;
//!
//! // The token goes into a mail, and comes back with Bob's request.
//! let (caller, token) = (Principal::new(bob.id), invite.token.reveal());
//! let mut tx = database.system().begin_for(caller, EXAMPLE).await?;
//! let accepted = invites::accept::<Shop, Seats>(&mut tx, &hasher, &standing, caller, token).await?;
//! tx.commit().await?;
//! assert_eq!(accepted.role, Role::Clerk);
//! # Ok(()) }
//! ```

mod accept;
mod manage;
mod purge;

use chrono::{DateTime, Utc};

pub use self::accept::{AcceptError, Accepted, accept};
pub use self::manage::{InviteError, InviteTerms, NewInvite, RevokeError, invite, list, revoke};
pub use self::purge::purge;
use crate::id::InviteId;
use crate::pg::people::roles::NamedRole;

/// An invite into the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invite<R> {
    /// The invite's id.
    pub id: InviteId,
    /// The address that it was sent to.
    pub email: String,
    /// The role that it gives, or the one that the custom role is based on.
    pub role: R,
    /// The custom role that it gives, if it gives one.
    pub custom_role: Option<NamedRole>,
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
