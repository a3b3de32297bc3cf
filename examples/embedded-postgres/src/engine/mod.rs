//! The engine, its files and its socket.

mod files;
mod relay;
mod socket;

use pglite_oxide::PgliteServer;
use sqlx::postgres::PgConnectOptions;

use self::files::{Home, Scratch};
use self::relay::Relay;
use super::{DataDir, EmbeddedError};

/// A running engine. Fields are dropped in this order, that of a clean stop: clients, engine, files, locks.
#[derive(Debug)]
pub(super) struct Engine {
    relay: Relay,
    server: PgliteServer,
    _home: Option<Home>,
    _scratch: Scratch,
}

impl Engine {
    pub(super) fn start(data: DataDir) -> Result<Self, EmbeddedError> {
        let scratch = Scratch::create()?;
        let (home, root) = match data {
            DataDir::Persistent(path) => {
                let home = Home::open(path, scratch.owner())?;
                let root = home.data();
                (Some(home), root)
            }
            DataDir::Temporary => (None, scratch.data()),
        };
        // The engine needs `fsync` off: with it on, it panics at its first recovery, on a directory that the
        // WebAssembly host cannot flush.
        let builder = PgliteServer::builder().path(root).database(socket::DATABASE);
        let server = socket::listen_privately(builder, scratch.path())
            .start()
            .map_err(|error| EmbeddedError::Start { cause: format!("{error:#}") })?;
        let relay = Relay::start(scratch.path(), socket::Address::of(&server))
            .map_err(|source| EmbeddedError::Directory { path: scratch.path().into(), source })?;
        Ok(Self { relay, server, _home: home, _scratch: scratch })
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.relay.address().options()
    }

    pub(super) fn stop(self) -> Result<(), EmbeddedError> {
        // Clients first: the engine serves its client until the client disconnects.
        drop(self.relay);
        self.server.shutdown().map_err(|error| EmbeddedError::Stop { cause: format!("{error:#}") })
    }
}
