//! Enqueuing the jobs of schedules.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::schedule::{Reached, Schedule, Step, step};
use crate::pg::{PgError, System, SystemReason};

const SCHEDULE: SystemReason = SystemReason::new("enqueue the jobs of schedules");

/// How many tenants one transaction enqueues a job for.
const PAGE: i64 = 500;

/// The longest time until a schedule is looked at again. The clocks of machines differ.
const LONGEST: Duration = Duration::from_mins(1);

/// A job that recurs in every tenant.
#[derive(Debug)]
pub(super) struct Recurring {
    pub(super) name: &'static str,
    pub(super) schedule: Schedule,
    pub(super) kind: &'static str,
    pub(super) service: &'static str,
    pub(super) payload: Value,
}

#[derive(FromRow)]
struct Row {
    tick: DateTime<Utc>,
    reached: Option<Uuid>,
    is_finished: bool,
    now: DateTime<Utc>,
}

impl Recurring {
    /// Enqueues a page of the jobs that are due, and returns how long to wait until the next.
    ///
    /// A schedule that the database does not know begins with its next tick.
    pub(super) async fn enqueue_due(&self, system: &System) -> Result<Duration, PgError> {
        let mut tx = system.begin(SCHEDULE).await?;
        let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(tx.conn()).await?;
        sqlx::query(
            "insert into mt.job_schedules (name, tick, is_finished) values ($1, $2, true) \
             on conflict do nothing",
        )
        .bind(self.name)
        .bind(self.schedule.last(now).unwrap_or(now))
        .execute(tx.conn())
        .await?;
        let row: Row = sqlx::query_as(
            "select tick, reached, is_finished, clock_timestamp() as now from mt.job_schedules \
             where name = $1 for update",
        )
        .bind(self.name)
        .fetch_one(tx.conn())
        .await?;
        let reached = Reached { tick: row.tick, is_finished: row.is_finished };
        let (tick, after) = match step(&self.schedule, reached, row.now) {
            Step::Begin(tick) => (tick, None),
            Step::GoOn => (row.tick, row.reached),
            Step::Wait => {
                tx.commit().await?;
                let next = self.schedule.next(row.now).map(|next| next - row.now);
                let wait = next.and_then(|wait| wait.to_std().ok());
                return Ok(wait.unwrap_or(LONGEST).min(LONGEST));
            }
        };
        // In the order of ids, by an index: see the pages of sweeps.
        let page: Vec<Uuid> = sqlx::query_scalar(
            "select id from mt.tenants where id > $1 and created_at <= $2 order by id limit $3",
        )
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(tick)
        .bind(PAGE)
        .fetch_all(tx.conn())
        .await?;
        sqlx::query(
            "insert into mt.jobs (tenant_id, id, kind, payload, unique_key, authority, service) \
             select tenant, gen_random_uuid(), $2, $3, 'schedule ' || $4, 'service', $5 \
             from unnest($1::uuid[]) tenant \
             on conflict (tenant_id, kind, unique_key) \
                 where unique_key is not null and status in ('scheduled', 'ready', 'running') do nothing",
        )
        .bind(&page)
        .bind(self.kind)
        .bind(Json(&self.payload))
        .bind(self.name)
        .bind(self.service)
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "update mt.job_schedules set tick = $2, reached = $3, is_finished = $4 where name = $1",
        )
        .bind(self.name)
        .bind(tick)
        .bind(page.last())
        .bind(page.is_empty())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(Duration::ZERO)
    }
}
