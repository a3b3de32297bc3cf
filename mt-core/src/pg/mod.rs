//! Postgres: the only way from an [`AccessRequest`](crate::access::AccessRequest) to rows.
//!
//! ```text
//! Database ─┬─ tenants::<M>() → Tenants<M> ─ begin(AccessRequest<P>) → TenantTx<P>   role mt_app, one tenant
//!           ├─ principals()   → Principals ─ begin(Principal) ───────→ PrincipalTx   role mt_app, one principal
//!           └─ system()       → System ───── begin(reason) ──────────→ SystemTx      role mt_system, all tenants
//! ```
//!
//! There is no way to a connection outside of these. Row-level security goes by the tenant that the
//! transaction was opened for, and was sealed with; with none there are no rows. See
//! `migrations/0002_tenancy.sql` for the policies, `migrations/0003_isolate.sql` for `mt.isolate`, which
//! makes a table of your own safe in one line, and `migrations/0001_seal.sql` for the seal.
//!
//! # Example
//!
//! ```
//! use mt_core::access::AccessRequest;
//! use mt_core::auth::Principal;
//! use mt_core::billing::StandingPolicy;
//! use mt_core::email::EmailAddress;
//! use mt_core::pg::{Database, SystemReason, Tenant, User, query_scalar};
//! # use mt_core::testing::TestDatabase;
//!
//! mt_core::model! {
//!     pub Shop;
//!     roles Role { Owner = "owner" (owner) }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
//! }
//!
//! const SIGN_UP: SystemReason = SystemReason::new("a user signs up");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
//! # let db = TestDatabase::create().await?;
//! # let options = db.options(2);
//! let database = Database::connect(options).await?;
//!
//! // A user signs up with a tenant, before there is a tenant to be a member of.
//! let mut tx = database.system().begin(SIGN_UP).await?;
//! let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
//! let shop = Tenant::create::<Shop>(&mut tx, "Ada's shop", ada.id).await?;
//! tx.commit().await?;
//!
//! // Each request of theirs names the tenant and the permission, and sees that tenant alone.
//! let tenants = database.tenants::<Shop>(StandingPolicy::default());
//! let request = AccessRequest::<OrdersRead>::new(Principal::new(ada.id), shop.id);
//! let names: Vec<String> =
//!     query_scalar("select name from mt.tenants").fetch_all(tenants.read(request)).await?;
//! assert_eq!(names, ["Ada's shop"]);
//!
//! let mut tx = tenants.begin(request).await?;
//! assert_eq!(Tenant::load(&mut tx).await?.id, shop.id);
//! tx.commit().await?;
//! # Ok(()) }
//! ```
//!
//! # Deployment
//!
//! * Logins are plain roles and own nothing; [`Database::connect`] refuses any other. That of tenants is a member of
//!   `mt_app` and `mt_authority`, that of the system ([`DatabaseOptions::system_login`]) of `mt_app` and `mt_system`. One
//!   login that is a member of all three may do for both: SQL that is injected into a query can then take on `mt_system`.
//! * A pooler in transaction mode may stand between: statements then have no names ([`Statements`]).
//! * The driver logs no statements, whatever options are passed in: users' values are part of the text of
//!   some. An exchange of more than a second is logged by its duration. Errors are shown without the values that Postgres
//!   repeats in them; `DatabaseError::try_downcast_ref` gives the driver's error in full, which is not for logs.
//! * Postgres 15.20, or the minor of the same date of a newer major, is the oldest that keeps rows
//!   hidden (CVE-2026-120154, CVE-2026-14666).

pub mod api_keys;
pub mod audit;
pub mod audit_log;
pub mod billing;
mod connection;
pub mod idempotency;
pub mod jobs;
pub mod ledger;
mod migrate;
mod people;
pub mod portable;
pub mod service_accounts;
mod tenancy;
mod transaction;
mod work;

pub use self::connection::connect_error::ConnectError;
pub use self::connection::database::Database;
pub use self::connection::options::DatabaseOptions;
pub use self::connection::pool_stats::PoolStats;
pub use self::connection::roles::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
pub use self::connection::statements::Statements;
pub use self::migrate::migration::{MigrateError, Migration, ProductSchema, ServerLogin, migrate};
pub use self::people::delete_user::DeleteUserError;
pub use self::people::identities::{Identity, LinkError};
#[cfg(feature = "openid")]
pub use self::people::identity_store::Identities;
pub use self::people::invites;
pub use self::people::magic_links::RedeemError;
pub use self::people::members::{Member, MemberError};
pub use self::people::roles;
pub use self::people::users::User;
pub use self::tenancy::domains;
pub use self::tenancy::overview::{Overview, Usage};
pub use self::tenancy::slug::SlugError;
pub use self::tenancy::sweep::{ForEachTenant, SweepError, SweepReport};
pub use self::tenancy::tenant::{Tenant, TenantSummary};
pub use self::transaction::acting::Acting;
pub use self::transaction::authority::BeginError;
pub use self::transaction::begin::Begin;
pub use self::transaction::cap::{Cap, CapPermit, CapReached, Resource};
pub use self::transaction::error::PgError;
pub use self::transaction::in_tenant::InTenant;
pub use self::transaction::last_statement::LastStatement;
pub use self::transaction::principal_tx::{PrincipalTx, Principals};
pub use self::transaction::query::{Query, query_as, query_scalar};
pub use self::transaction::query_executor::QueryExecutor;
pub use self::transaction::read_each::TenantRows;
pub use self::transaction::system_tx::{System, SystemReason, SystemTx};
pub use self::transaction::tenant_read::TenantRead;
pub use self::transaction::tenant_tx::{Exclusive, LocksTenant, ServiceTx, Shared, TenantTx};
pub use self::transaction::tenants::Tenants;
pub use self::transaction::tx_conn::TxConn;
pub use self::transaction::tx_settings::Isolation;
