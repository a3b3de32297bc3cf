//! Postgres inside the server's own process, for a machine that has none.
//!
//! Without `DATABASE_URL` the server runs on this: Postgres 17.5 compiled to WebAssembly. It is
//! meant for trying things out, for demos and for development. It is not meant for production,
//! and says so by what it cannot do:
//!
//! | | embedded | a Postgres server |
//! | --- | --- | --- |
//! | connections | one at a time ([`EmbeddedPostgres::MAX_CONNECTIONS`]) | many |
//! | login | always the superuser; [`LOGIN`] is taken on afterwards | by name and password |
//! | `statement_timeout` and its kin | accepted and ignored: there are no timer signals | kept |
//! | cancelling a query | not possible; it runs to its end | possible |
//! | `exception when …` in PL/pgSQL | an error that it should catch spoils the connection | caught |
//! | `alter role … set` | not applied by `set session authorization` | applied at login |
//! | `fsync` | off | on |
//! | extensions, ICU collations | none | as installed |
//!
//! So migrations and functions must do without `exception` blocks, and a request may hold one
//! connection at most. Row-level security, roles, `set local role`, locks, deferred constraints and
//! generated columns behave as they do everywhere; the tests beside this module try each.
//!
//! # Who can reach it
//!
//! It listens on a Unix socket in a directory that only the user may enter, since it asks nobody for
//! a password. (On Windows it listens on a loopback port instead, which any local user can reach.)
//!
//! # Where the data is
//!
//! See [`DataDir`]. Killing the process, with whatever signal, loses nothing that was committed. A
//! machine that loses power may: the engine cannot flush files to the disk itself (`fsync`).
//!
//! ```no_run
//! use reference_server::embedded::{DataDir, EmbeddedPostgres};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let postgres = EmbeddedPostgres::start(DataDir::Temporary).await?;
//! let admin = postgres.admin_options(); // for the migrator, and for nobody else
//! # let _ = admin;
//! postgres.stop().await?;
//! # Ok(())
//! # }
//! ```

mod data_dir;
#[cfg_attr(not(feature = "embedded"), path = "absent.rs")]
mod engine;
mod error;

use sqlx::postgres::PgConnectOptions;

pub use self::data_dir::DataDir;
use self::engine::Engine;
pub use self::error::EmbeddedError;

/// The login role that the server's pool takes on, by `set session authorization`, on each new
/// connection: whatever name a client gives, the engine logs it in as the superuser, for whom
/// row-level security is off.
pub const LOGIN: &str = "mt_server";

/// A running embedded Postgres. Dropping it stops it too, but blocks the thread while it does.
///
/// See the [module docs](self).
#[derive(Debug)]
pub struct EmbeddedPostgres {
    engine: Engine,
}

impl EmbeddedPostgres {
    /// How many connections there can be. A second one is not refused: it waits until the first
    /// is closed, so that a request that holds one and asks for another waits for ever.
    pub const MAX_CONNECTIONS: u32 = 1;

    /// Starts the engine on `data`, and makes the database if there is none yet.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`], whose text says in one line what failed and what to set instead.
    pub async fn start(data: DataDir) -> Result<Self, EmbeddedError> {
        let engine = blocking(move || Engine::start(data)).await?;
        Ok(Self { engine })
    }

    /// How to connect as the superuser: for the migrator, and as the first step of the server's
    /// pool, which then becomes [`LOGIN`].
    #[must_use]
    pub fn admin_options(&self) -> PgConnectOptions {
        self.engine.options()
    }

    /// Disconnects whoever is connected and waits until the engine has let go of its files.
    /// A statement that is still running runs to its end first.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Stop`], when the engine had failed.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        blocking(move || self.engine.stop()).await
    }
}

/// The engine blocks wherever it works: keep that away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(EmbeddedError::Start { cause: panic.to_string() }))
}
