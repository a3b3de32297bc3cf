//! How far a sweep has come, in `mt.sweeps`: who works on it, and which tenants are done.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::SweepError;
use super::retry::while_away;
use crate::id::TenantId;
use crate::pg::{PgError, System, SystemReason};

const SWEEP: SystemReason = SystemReason::new("visit every tenant");

/// How long the lease lasts after it was renewed.
pub(super) const LEASE: Duration = Duration::from_mins(1);
/// How often it is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(5);

/// The lease on a sweep that is under way.
pub(super) struct Progress<'s> {
    system: &'s System,
    name: &'s str,
    holder: Uuid,
    started_at: DateTime<Utc>,
    reached: Option<Uuid>,
}

#[derive(FromRow)]
struct Begun {
    started_at: DateTime<Utc>,
    reached: Option<Uuid>,
}

impl<'s> Progress<'s> {
    /// Begins a sweep, or goes on with one that was not finished and on which no process works.
    pub(super) async fn begin(system: &'s System, name: &'s str) -> Result<Self, SweepError> {
        let holder = Uuid::new_v4();
        let mut tx = system.begin(SWEEP).await?;
        let begun: Option<Begun> = sqlx::query_as(
            "insert into mt.sweeps as s (name, started_at, holder, leased_until) \
             values ($1, now(), $2, now() + make_interval(secs => $3)) \
             on conflict (name) do update set holder = excluded.holder, leased_until = excluded.leased_until, \
                 started_at = case when s.finished_at is null then s.started_at else excluded.started_at end, \
                 reached = case when s.finished_at is null then s.reached end, \
                 finished_at = null \
             where s.finished_at is not null or s.leased_until < now() \
             returning started_at, reached",
        )
        .bind(name)
        .bind(holder)
        .bind(LEASE.as_secs_f64())
        .fetch_optional(tx.conn())
        .await
        .map_err(PgError::from)?;
        tx.commit().await?;
        let Some(Begun { started_at, reached }) = begun else {
            return Err(SweepError::UnderWay);
        };
        Ok(Self { system, name, holder, started_at, reached })
    }

    /// Returns the next tenants, in the order of their ids; none at the end. Tenants that were created after the sweep began
    /// are left to the next one.
    pub(super) async fn page(&self, limit: u16) -> Result<Vec<TenantId>, SweepError> {
        Ok(while_away(async || self.read_page(limit).await).await?)
    }

    async fn read_page(&self, limit: u16) -> Result<Vec<TenantId>, PgError> {
        let mut tx = self.system.begin(SWEEP).await?;
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select id from mt.tenants where id > $1 and created_at <= $2 order by id limit $3",
        )
        // Without a place an id that no tenant has: a second case in the condition would keep a prepared plan from the
        // index.
        .bind(self.reached.unwrap_or(Uuid::nil()))
        .bind(self.started_at)
        .bind(i64::from(limit))
        .fetch_all(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(ids.into_iter().map(TenantId::from_uuid).collect())
    }

    /// Renews the lease.
    pub(super) async fn renew(&self) -> Result<(), SweepError> {
        if self.keep(self.reached, false).await? { Ok(()) } else { Err(SweepError::LeaseLost) }
    }

    /// Stores that the tenants up to `tenant` are done.
    pub(super) async fn reach(&mut self, tenant: TenantId) -> Result<(), SweepError> {
        self.reached = Some(tenant.as_uuid());
        self.store(self.reached, false).await
    }

    /// Stores that all are done.
    pub(super) async fn finish(self) -> Result<(), SweepError> {
        self.store(None, true).await
    }

    async fn store(&self, reached: Option<Uuid>, is_finished: bool) -> Result<(), SweepError> {
        let kept = while_away(async || self.keep(reached, is_finished).await).await?;
        if kept { Ok(()) } else { Err(SweepError::LeaseLost) }
    }

    /// Stores the place and renews the lease, and returns whether this process still has it.
    async fn keep(&self, reached: Option<Uuid>, is_finished: bool) -> Result<bool, PgError> {
        let mut tx = self.system.begin(SWEEP).await?;
        let kept = sqlx::query(
            "update mt.sweeps set reached = $3, finished_at = case when $4 then now() end, \
                 leased_until = now() + make_interval(secs => $5) \
             where name = $1 and holder = $2",
        )
        .bind(self.name)
        .bind(self.holder)
        .bind(reached)
        .bind(is_finished)
        .bind(LEASE.as_secs_f64())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(kept.rows_affected() > 0)
    }
}
