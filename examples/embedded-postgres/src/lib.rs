//! Postgres inside the server's process, for machines without Postgres.
//!
//! Without `DATABASE_URL` the server uses it: Postgres 17.5 compiled to WebAssembly. It is for trials, demos and
//! development. It is not for production, because of its limits:
//!
//! | | embedded | a Postgres server |
//! | --- | --- | --- |
//! | connections | one at a time ([`EmbeddedPostgres::MAX_CONNECTIONS`]) | many |
//! | login | always the superuser; [`LOGIN`] is set afterwards | by name and password |
//! | `statement_timeout` and other timeouts | accepted and ignored: there are no timer signals | enforced |
//! | cancelling a query | not possible; it runs to completion | possible |
//! | `exception when …` in PL/pgSQL | a caught error breaks the connection | caught |
//! | `alter role … set` | not applied by `set session authorization` | applied at login |
//! | `fsync` | off | on |
//! | extensions, ICU collations | none | as installed |
//!
//! So migrations and functions must do without `exception` blocks, and a request may hold one connection at most.
//! Row-level security, roles, `set local role`, locks, deferred constraints and generated columns work as on a
//! server; tests cover each.
//!
//! # Access
//!
//! It listens on a Unix socket in a directory that only the user may enter, because it requires no password. (On
//! Windows it listens on a loopback port instead, which any local user can reach.)
//!
//! # Data
//!
//! See [`DataDir`]. Killing the process by any signal loses no committed data. A power failure may, because the
//! engine cannot flush files to disk (`fsync`).
//!
//! ```no_run
//! use embedded_postgres::{DataDir, EmbeddedPostgres};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let postgres = EmbeddedPostgres::start(DataDir::Temporary).await?;
//! let admin = postgres.admin_options(); // for the migrator only
//! # let _ = admin;
//! postgres.stop().await?;
//! # Ok(())
//! # }
//! ```

mod data_dir;
#[cfg_attr(not(feature = "engine"), path = "absent.rs")]
mod engine;
mod error;

use sqlx::postgres::PgConnectOptions;

pub use self::data_dir::DataDir;
use self::engine::Engine;
pub use self::error::EmbeddedError;

/// The login role that the server's pool switches to by `set session authorization` on each new connection. The
/// engine logs every client in as the superuser, for whom row-level security is off.
pub const LOGIN: &str = "mt_server";

/// A running embedded Postgres. Dropping it stops it as well, but blocks the thread meanwhile.
///
/// See the [module docs](self).
#[derive(Debug)]
pub struct EmbeddedPostgres {
    engine: Engine,
}

impl EmbeddedPostgres {
    /// The maximum number of connections. A second one is not refused: it waits until the first is closed, so a
    /// request that holds one and opens another waits for ever.
    pub const MAX_CONNECTIONS: u32 = 1;

    /// Starts the engine on `data`, and creates the database if needed.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] when the engine cannot start. Its text says what to do.
    pub async fn start(data: DataDir) -> Result<Self, EmbeddedError> {
        let engine = blocking(move || Engine::start(data)).await?;
        Ok(Self { engine })
    }

    /// Returns how to connect as the superuser: for the migrator, and for the server's pool, which then switches to
    /// [`LOGIN`].
    #[must_use]
    pub fn admin_options(&self) -> PgConnectOptions {
        self.engine.options()
    }

    /// Disconnects the clients and waits until the engine has closed its files. A running statement runs to
    /// completion first.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Stop`] when the engine had failed.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        blocking(move || self.engine.stop()).await
    }
}

/// Runs blocking work of the engine on a thread outside of the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(EmbeddedError::Start { cause: panic.to_string() }))
}
