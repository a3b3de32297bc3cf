//! Tools for tests: databases, isolation checks, cap races, a proxy that counts round trips, and TLS.
//!
//! Do not test as a superuser, to whom row-level security does not apply. A [`TestDatabase`] provides a [`Database`]
//! with a plain login of its own, and an [`admin`](TestDatabase::admin) pool for setup and verification.
//!
//! `MT_TEST_DATABASE_URL`, the URL of a superuser, names the server (`scripts/with-services` sets it). Databases are
//! cloned from a template for each set of migrations, so creating one takes tens of milliseconds.

pub mod caps;
mod committed;
mod database;
pub mod isolation;
mod relay;
mod tls;

pub use self::committed::assert_file;
pub use self::database::{TestDatabase, TestDatabaseError};
pub use self::relay::{Relay, Rewrite};
pub use self::tls::{Certificates, TlsRedis};
#[cfg(doc)]
use crate::pg::Database;
