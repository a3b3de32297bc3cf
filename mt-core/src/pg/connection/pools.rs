//! The connections of a program, and what its transactions share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::logins::{Login, LoginPool};
use super::pool_stats::PoolStats;
use super::statements::Statements;
use crate::pg::PgError;
use crate::pg::transaction::known_results::KnownResults;
use crate::pg::transaction::seal::KnownKey;
use crate::pg::transaction::tx_settings::TxSettings;
use crate::shares::{Requester, Seat, Shares};

/// The pools of one or two logins. Transactions are opened on it, and [`Database`](crate::pg::Database) is its public face.
#[derive(Clone)]
pub(in crate::pg) struct Pools {
    pub(super) app: LoginPool,
    /// `None` if one login does for both.
    pub(super) system: Option<LoginPool>,
    pub(super) acquire_timeout: Duration,
    pub(super) shares: Shares,
    pub(super) settings: TxSettings,
    pub(super) key: Arc<KnownKey>,
    pub(super) known_results: KnownResults,
}

impl Pools {
    /// The connections of `login`.
    pub(in crate::pg) fn of(&self, login: Login) -> &LoginPool {
        match (login, &self.system) {
            (Login::System, Some(system)) => system,
            (Login::System, None) | (Login::App, _) => &self.app,
        }
    }

    /// Whether statements are prepared under names.
    pub(in crate::pg) const fn statements(&self) -> Statements {
        self.app.statements()
    }

    /// The settings of each transaction.
    pub(in crate::pg) const fn settings(&self) -> &TxSettings {
        &self.settings
    }

    /// The statements whose rows are known to be read from text.
    pub(in crate::pg) const fn known_results(&self) -> &KnownResults {
        &self.known_results
    }

    /// The key of the seal, as far as it is known.
    pub(in crate::pg) fn known_key(&self) -> &KnownKey {
        &self.key
    }

    /// The shares that tenants and principals have of the connections.
    pub(in crate::pg) const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The moment until which a request that comes now waits for a connection.
    pub(in crate::pg) fn deadline(&self) -> Instant {
        Instant::now() + self.acquire_timeout
    }

    /// Takes a seat for `requester`, which the transaction holds as long as its connection, and returns it with the
    /// deadline for the connection.
    pub(in crate::pg) async fn seat(
        &self,
        requester: Option<Requester>,
    ) -> Result<(Seat, Instant), PgError> {
        let deadline = self.deadline();
        let Some(requester) = requester else { return Ok((Seat::not_needed(), deadline)) };
        let got = tokio::time::timeout_at(deadline, self.shares.seat(requester)).await;
        let seat = got.unwrap_or_else(|_| Err(self.shares.refuse()));
        let refused = |error| PgError::Unavailable(sqlx::Error::AnyDriverError(Box::new(error)));
        Ok((seat.map_err(refused)?, deadline))
    }

    /// The use of the connections, those of the system's login included.
    pub(super) fn stats(&self) -> PoolStats {
        let app = self.app.stats();
        self.system.as_ref().map_or(app, |system| app.with(system.stats()))
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("app", &self.app).finish_non_exhaustive()
    }
}
