//! Replaying an event at an operator's request.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::event::{columns, find};
use super::lease::leased_columns;
use super::{EventStatus, LeasedEvent, Ledger, LedgerEvent, Provider, RetryPolicy};
use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemReason, SystemTx};
use crate::text_enum::TextEnum as _;

const REPLAY: SystemReason = SystemReason::new("replay a webhook event");
const LOOK: SystemReason = SystemReason::new("look at a webhook event");

/// The longest name of an actor, in bytes.
const MAX_ACTOR_BYTES: usize = 255;

/// A request to apply an event again, in the name of an operator.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    actor: String,
    force: bool,
}

impl ReplayRequest {
    /// A request by `actor`, whose name goes into the event's history. It leaves a processed event as it is.
    #[must_use]
    pub fn by(actor: impl Into<String>) -> Self {
        let mut actor: String = actor.into();
        actor.truncate(actor.floor_char_boundary(MAX_ACTOR_BYTES));
        actor.retain(|char| !char.is_control());
        Self { actor, force: false }
    }

    /// Applies a processed event, too. Effects are idempotent, so this should change nothing.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }
}

impl<P: Provider> Ledger<P> {
    /// Applies an event again, with a fresh count of attempts, and returns it as it is then. The request goes into its
    /// history, even if it changes nothing.
    ///
    /// # Errors
    ///
    /// [`ReplayError`].
    pub async fn replay(
        &self,
        event_id: &str,
        request: &ReplayRequest,
    ) -> Result<LedgerEvent, ReplayError> {
        let ReplayRequest { actor, force } = request;
        let mut tx = self.system().begin(REPLAY).await?;
        let Some(found) = Found::lock(&mut tx, P::NAME, event_id).await? else {
            return Err(ReplayError::NotFound);
        };
        if found.is_under_way {
            return Err(ReplayError::UnderWay);
        }
        tracing::info!(event = event_id, actor, force, "an operator replays a webhook event");
        found.record(&mut tx, actor).await?;
        let leased = match found.status {
            EventStatus::Processed if !force => None,
            _ if found.is_purged => {
                tx.commit().await?;
                return Err(ReplayError::BodyPurged);
            }
            _ => found.lease(&mut tx, self.inner.policy.retry).await?,
        };
        tx.commit().await?;
        if let Some(leased) = leased {
            self.inner.work_on(&leased).await?;
        }
        self.find(event_id).await?.ok_or(ReplayError::NotFound)
    }

    /// Finds an event by the provider's identifier.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find(&self, event_id: &str) -> Result<Option<LedgerEvent>, PgError> {
        let mut tx = self.system().begin(LOOK).await?;
        let event = find(&mut tx, P::NAME, event_id).await?;
        tx.commit().await?;
        Ok(event)
    }
}

/// An event whose row this transaction has locked.
struct Found {
    id: Uuid,
    status: EventStatus,
    is_purged: bool,
    is_under_way: bool,
}

impl Found {
    /// Locks the row. If an attempt holds it for longer than the lock timeout, the event is under way.
    async fn lock(
        tx: &mut SystemTx,
        provider: &str,
        event_id: &str,
    ) -> Result<Option<Self>, ReplayError> {
        let found = sqlx::query(
            "select id, status, body is null, status = 'processing' and lease_until >= now() \
             from mt.webhook_events where provider = $1 and event_id = $2 for update",
        )
        .bind(provider)
        .bind(event_id)
        .fetch_optional(tx.conn())
        .await;
        let row = match found {
            Err(error) if is_lock_timeout(&error) => return Err(ReplayError::UnderWay),
            found => found.map_err(PgError::from)?,
        };
        let read = |row: PgRow| {
            let status = variant("status", row.try_get(1)?)?;
            let (is_purged, is_under_way) = (row.try_get(2)?, row.try_get(3)?);
            Ok(Self { id: row.try_get(0)?, status, is_purged, is_under_way })
        };
        row.map(read).transpose().map_err(|error: sqlx::Error| PgError::from(error).into())
    }

    async fn record(&self, tx: &mut SystemTx, actor: &str) -> Result<(), PgError> {
        sqlx::query(
            "insert into mt.webhook_attempts (event, attempt, outcome, detail, actor) \
             select id, attempts, 'replay', $2, $3 from mt.webhook_events where id = $1",
        )
        .bind(self.id)
        .bind(self.status.as_str())
        .bind(actor)
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// Leases the event as if it had just been received.
    async fn lease(
        &self,
        tx: &mut SystemTx,
        policy: RetryPolicy,
    ) -> Result<Option<LeasedEvent>, PgError> {
        let row = sqlx::query(concat!(
            "update mt.webhook_events e set status = 'processing', attempts = 1, failures = 0, \
                 processed_at = null, leased_at = clock_timestamp(), leased_alone = true, \
                 lease_token = gen_random_uuid(), \
                 lease_until = clock_timestamp() + make_interval(secs => $2), \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $2) \
             where id = $1 returning ",
            columns!(),
            ", ",
            leased_columns!()
        ))
        .bind(self.id)
        .bind(policy.lease.as_secs_f64())
        .fetch_one(tx.conn())
        .await?;
        LeasedEvent::read(&row)
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03")
}

/// Why an event was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The event's body was purged, so it cannot be applied again.
    #[error("the body of the event was purged")]
    BodyPurged,
    /// There is no event of that identifier.
    #[error("no such event")]
    NotFound,
    /// Postgres failed, or cannot be reached. Try again.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// An attempt is under way. Wait for its lease to end.
    #[error("the event is being processed")]
    UnderWay,
}
