//! Trying an event again because somebody asks.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::claim::claimed_columns;
use super::event::{columns, find};
use super::{Claimed, EventStatus, Ledger, LedgerEvent, Provider, RetryPolicy};
use crate::pg::decode::word;
use crate::pg::{PgError, SystemReason, SystemTx};
use crate::word::Word as _;

const REPLAY: SystemReason = SystemReason::new("replay a webhook event");
const LOOK: SystemReason = SystemReason::new("look at a webhook event");

/// The longest name of an actor, in bytes.
const MAX_ACTOR_BYTES: usize = 255;

/// Who asks for an event to be tried again, and how badly.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    actor: String,
    force: bool,
}

impl ReplayRequest {
    /// On behalf of `actor`, whose name goes into the event's history. What was processed stays as it
    /// is.
    #[must_use]
    pub fn by(actor: impl Into<String>) -> Self {
        let mut actor: String = actor.into();
        actor.truncate(actor.floor_char_boundary(MAX_ACTOR_BYTES));
        actor.retain(|char| !char.is_control());
        Self { actor, force: false }
    }

    /// Applies also what was processed before. Effects are idempotent, so this should change nothing.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }
}

impl<P: Provider> Ledger<P> {
    /// Tries an event again, with all its attempts before it, and returns it as it stands then. The
    /// request goes into its history, also where there is nothing to do.
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
        tracing::info!(event = event_id, actor, force, "a webhook event is asked for again");
        found.note(&mut tx, actor).await?;
        let claimed = match found.status {
            EventStatus::Processed if !force => None,
            _ if found.is_purged => {
                tx.commit().await?;
                return Err(ReplayError::BodyPurged);
            }
            _ => found.claim(&mut tx, self.shared.policy).await?,
        };
        tx.commit().await?;
        if let Some(claimed) = claimed {
            self.shared.work_on(&claimed).await?;
        }
        self.find(event_id).await?.ok_or(ReplayError::NotFound)
    }

    /// The event that the provider calls `event_id`.
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

/// An event whose row is held.
struct Found {
    id: Uuid,
    status: EventStatus,
    is_purged: bool,
    is_under_way: bool,
}

impl Found {
    /// Whoever has it now is waited for, but not for long: then it is under way.
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
            let status = word("status", row.try_get(1)?)?;
            let (is_purged, is_under_way) = (row.try_get(2)?, row.try_get(3)?);
            Ok(Self { id: row.try_get(0)?, status, is_purged, is_under_way })
        };
        row.map(read).transpose().map_err(|error: sqlx::Error| PgError::from(error).into())
    }

    async fn note(&self, tx: &mut SystemTx, actor: &str) -> Result<(), PgError> {
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

    /// Claims it as if it had just come.
    async fn claim(
        &self,
        tx: &mut SystemTx,
        policy: RetryPolicy,
    ) -> Result<Option<Claimed>, PgError> {
        let row = sqlx::query(concat!(
            "update mt.webhook_events e set status = 'processing', attempts = 1, strikes = 0, \
                 processed_at = null, claimed_at = clock_timestamp(), claimed_alone = true, \
                 lease_token = gen_random_uuid(), \
                 lease_until = clock_timestamp() + make_interval(secs => $2), \
                 next_attempt_at = clock_timestamp() + make_interval(secs => $2) \
             where id = $1 returning ",
            columns!(),
            ", ",
            claimed_columns!()
        ))
        .bind(self.id)
        .bind(policy.lease.as_secs_f64())
        .fetch_one(tx.conn())
        .await?;
        Claimed::read(&row)
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03")
}

/// Why an event was not tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is nothing left that could be applied.
    #[error("the body of the event was purged")]
    BodyPurged,
    /// There is no such event.
    #[error("no such event")]
    NotFound,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Somebody is at it.
    #[error("the event is being processed")]
    UnderWay,
}
