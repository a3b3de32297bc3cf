//! API keys: credentials of programs, each for one tenant.
//!
//! A key is held by a member, by a [service account](crate::pg::service_accounts), or by a service account that acts on
//! behalf of a member ([`KeyHolder`]). It may do what its holder may do at that moment, limited to a set of permissions if
//! it has one:
//!
//! ```text
//! permissions of the key ∩ role of the member ∩ role of the service account ∩ plan, payments and suspension
//! ```
//!
//! The message that opens a transaction reads all of it and decides, as for every other credential. So a key that was
//! revoked, narrowed or has expired, and a key whose holder was demoted or removed, loses its access at the next
//! transaction, in every process, whatever an [`ApiKeys`] remembers.
//!
//! # What is stored
//!
//! A keyed hash ([`TokenHasher`](crate::token::TokenHasher)) and the first characters of the key, so a copy of the database
//! contains no key and cannot verify guesses. The key is shown once, by the transaction that creates it. Its text has a
//! prefix of the application and a checksum, by which secret scanners find it.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mt_core::access::{AccessRequest, PermissionSet};
//! use mt_core::auth::{Authenticator as _, Principal};
//! use mt_core::billing::StandingPolicy;
//! # use mt_core::email::EmailAddress;
//! use mt_core::pg::api_keys::{KeyHolder, NewApiKey};
//! use mt_core::pg::{BeginError, SystemReason, Tenant, User, service_accounts};
//! # use mt_core::testing::TestDatabase;
//! use mt_core::token::TokenHasher;
//!
//! mt_core::model! {
//!     pub Shop;
//!     roles Role { Owner = "owner" (owner), Clerk = "clerk" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Permission {
//!         OrdersRead = "orders.read"   [yes yes] [yes] exempt read;
//!         OrdersWrite = "orders.write" [yes yes] [yes] required write;
//!         KeysManage = "keys.manage"   [yes no]  [yes] exempt write;
//!     }
//!     caps { ApiKeys of api_keys { Free: 5 } }
//! }
//!
//! # const SETUP: SystemReason = SystemReason::new("set an example up");
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
//! # let db = TestDatabase::create().await?;
//! # let database = db.connect(2).await?;
//! # let mut tx = database.system().begin(SETUP).await?;
//! # let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
//! # let shop = Tenant::create::<Shop>(&mut tx, "Ada's shop", ada.id).await?;
//! # tx.commit().await?;
//! let tenants = database.tenants::<Shop>(StandingPolicy::default());
//! let keys = database.api_keys("shop", TokenHasher::new(b"32 bytes or more that are secret"));
//!
//! // Ada makes a service account for a warehouse, and a key with which it may read.
//! let manage = AccessRequest::<KeysManage>::new(Principal::new(ada.id), shop.id);
//! let (mut tx, cap) = tenants.begin(manage).exclusive().capped::<ApiKeys>().await?;
//! let warehouse = service_accounts::create(&mut tx, "warehouse", Role::Clerk).await?;
//! let new = NewApiKey::new("warehouse 1", KeyHolder::ServiceAccount(warehouse.id))
//!     .limited_to(PermissionSet::parse(["orders.read"])?)
//!     .expiring_in(Duration::from_hours(24 * 90));
//! let issued = keys.create(&mut tx, cap, &new).await?;
//! tx.commit().await?;
//!
//! // The warehouse sends the key with its requests.
//! let caller = keys.authenticate(issued.text.reveal()).await?;
//! tenants.begin(AccessRequest::<OrdersRead>::new(caller, shop.id)).await?.commit().await?;
//! let write = tenants.begin(AccessRequest::<OrdersWrite>::new(caller, shop.id)).await;
//! assert!(matches!(write, Err(BeginError::Denied(_))));
//! # Ok(()) }
//! ```

mod authenticator;
mod change;
mod create;
mod list;
mod operate;

use chrono::{DateTime, Utc};

#[cfg(feature = "testing")]
pub(crate) use self::authenticator::labelled;
pub use self::authenticator::{ApiKeys, ApiKeysOr};
pub use self::change::{narrow, revoke};
pub use self::create::{IssuedKey, KeyHolder, NewApiKey};
pub use self::list::list;
pub use self::operate::{list_for_operator, revoke_for_operator};
use crate::access::{AccessModel, PermissionSet};
pub use crate::auth::api_key::ApiKeyText;
use crate::id::{ApiKeyId, PrincipalId, ServiceAccountId};
use crate::pg::{CapReached, PgError};

/// [`Resource::ROWS`](crate::pg::Resource::ROWS) of a tenant's API keys: those that can be used. Keys that replace one
/// another count once.
pub const LIVE: &str = "select series from mt.api_keys where tenant_id = (select mt.tenant_id()) \
     and revoked_at is null and (expires_at is null or expires_at > now()) group by series";

/// An API key of the transaction's tenant, without the key itself.
pub struct ApiKey<M: AccessModel> {
    /// The key's id.
    pub id: ApiKeyId,
    /// Its name.
    pub name: String,
    /// The member who holds it, or on whose behalf its service account acts.
    pub user: Option<PrincipalId>,
    /// The service account that holds it.
    pub service_account: Option<ServiceAccountId>,
    /// Its first characters.
    pub hint: String,
    /// The most that it may use; `None` for all that its holder may.
    pub permissions: Option<PermissionSet<M>>,
    /// Who created it.
    pub created_by: PrincipalId,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was used last, within some minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The error of a change to API keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The caller's credential is an API key or acts on behalf of a user; such a credential issues no keys.
    #[error("an API key issues no API keys")]
    ByKey,
    /// The plan allows no more keys.
    #[error(transparent)]
    CapReached(#[from] CapReached),
    /// The key could do what the caller may not, or it is of another holder.
    #[error("the caller may not issue or change this API key")]
    Forbidden,
    /// The key would gain these permissions. It only loses some.
    #[error("an API key only loses permissions, and this one lacks {}", .0.join(", "))]
    Gains(Vec<&'static str>),
    /// The name is empty, longer than 100 characters or has control characters.
    #[error("the name must have 1 to 100 characters, without control characters")]
    Name,
    /// No such key or service account here; or the key has ended.
    #[error("no such API key or service account")]
    NotFound,
    /// The key was rotated, and the key that it replaced can still be used.
    #[error("two keys of this rotation can be used already; revoke one")]
    TwoInUse,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}

/// Returns whether people may give this name to a key or a service account.
pub(in crate::pg) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}
