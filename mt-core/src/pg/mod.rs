//! Postgres: the only way from a [`Grant`](crate::access::Grant) to rows.
//!
//! ```text
//! Database ─┬─ tenants::<M>() → TenantPool<M> ── begin(Grant<P>) ──→ TenantTx<P>   role mt_app, one tenant
//!           ├─ principals()   → PrincipalPool ── begin(Principal) ─→ PrincipalTx   role mt_app, one principal
//!           └─ system()       → SystemPool ───── begin(reason) ────→ SystemTx      role mt_system, all tenants
//! ```
//!
//! There is no way to a connection outside of these. Row-level security keys on the
//! transaction-local setting `mt.tenant_id`; with none set there are no rows. See
//! `migrations/0001_tenancy.sql` for the policies, and its `mt.isolate` for making a table of your own
//! safe in one line.
//!
//! # Deployment
//!
//! * The login is a plain role, a member of `mt_app`, `mt_system` and `mt_authority`, and owns nothing;
//!   [`Database::connect`] refuses any other.
//! * A pooler in transaction mode may stand between: statements then have no names ([`Statements`]),
//!   and access that is remembered goes by its age ([`AccessChanges`]).
//! * Postgres 15.20, or the minor of the same date of a newer major, is the oldest that keeps rows
//!   hidden (CVE-2026-120154, CVE-2026-14666).

mod access_changes;
pub mod audit;
pub mod audit_log;
mod cap;
mod connecting;
mod connections;
mod database;
mod decode;
mod error;
mod exchange;
mod extensions;
pub mod idempotency;
pub mod invites;
pub mod ledger;
mod magic_links;
mod members;
mod message;
mod migrate;
mod open_tx;
mod opening;
mod pool_stats;
pub mod portable;
mod principal;
mod probe;
mod query;
mod session;
mod suspension;
mod system;
mod tenant;
mod tenant_tx;
mod tenants;
mod tx_conn;
mod users;

pub use self::access_changes::AccessChanges;
pub use self::cap::{CapReached, Resource, Room};
pub use self::database::{
    APP_ROLE, AUTHORITY_ROLE, ConnectError, Database, DatabaseOptions, SYSTEM_ROLE, Statements,
};
pub use self::error::PgError;
pub use self::magic_links::RedeemError;
pub use self::members::{Member, RosterError};
pub use self::migrate::{MigrateError, Migration, ProductSchema, ServerLogin};
pub use self::pool_stats::PoolStats;
pub use self::principal::{PrincipalPool, PrincipalTx};
pub use self::query::{Query, Value};
pub use self::system::{SystemPool, SystemReason, SystemTx};
pub use self::tenant::{BeginError, TenantPool};
pub use self::tenant_tx::{Exclusive, Shared, TenantTx};
pub use self::tenants::{Tenant, TenantSummary};
pub use self::tx_conn::TxConn;
pub use self::users::User;
