//! Databases for tests of isolation: one each, migrated, with the roles that production has.
//!
//! A test that connects as a superuser tests nothing: row-level security does not apply to it. A
//! [`TestDatabase`] gives out a [`Database`] whose login is a plain role of its own, and beside it an
//! [`admin`](TestDatabase::admin) pool for setting up and looking behind the curtain.
//!
//! The server is named by `MT_TEST_DATABASE_URL`, the URL of a superuser (`scripts/with-services`
//! sets it). Migrated databases are cloned from a template that is made once for each set of
//! migrations, so one costs tens of milliseconds.

pub mod caps;
mod database;
pub mod isolation;
mod relay;

pub use self::database::{TestDatabase, TestDatabaseError};
pub use self::relay::{Relay, Rewrite};
#[cfg(doc)]
use crate::pg::Database;
