//! Making jobs ready: those whose time has come, and those whose process was killed.

use sqlx::Row as _;

use super::JobStatus;
use crate::id::JobId;
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::opening;
use crate::pg::{PgError, System, SystemReason};

const PROMOTE: SystemReason = SystemReason::new("make jobs ready that are due");

/// Postgres walks the indexes. Left to itself it would read all jobs that are due, or the whole table, where it takes 500
/// rows for many.
const BY_INDEX: &str = "set local enable_bitmapscan = off; set local enable_hashjoin = off; \
    set local enable_mergejoin = off";

/// The jobs that were moved.
pub(super) struct Promoted {
    /// How many are ready.
    pub(super) ready: usize,
    /// Those that are dead, because their attempts never ended, with their kinds.
    pub(super) dead: Vec<(JobId, String)>,
}

/// Makes up to 500 scheduled jobs ready that are due, and as many running ones whose lease is over. Each gets the turn
/// after its tenant's last one, as a new job does. A lease that is over counts as a failure: the job may have killed its
/// process.
///
/// One process at a time does it. Two would give the same turns twice.
pub(super) async fn promote(system: &System, max_attempts: u32) -> Result<Promoted, PgError> {
    let opening = opening::of_system().text(BY_INDEX);
    let (mut tx, _) = system.begin_with(PROMOTE, opening).await?;
    let rows = sqlx::query(
        "with alone as materialized ( \
             select pg_try_advisory_xact_lock(hashtextextended('mt.jobs promote', 0)) as is_it \
         ), due as materialized ( \
             select tenant_id, id, run_at as since, false as is_left from mt.jobs \
             where status = 'scheduled' and run_at <= now() and (select is_it from alone) \
             order by run_at, id limit 500 for update skip locked \
         ), left_behind as materialized ( \
             select tenant_id, id, lease_until as since, true as is_left from mt.jobs \
             where status = 'running' and lease_until < now() and (select is_it from alone) \
             order by lease_until limit 500 for update skip locked \
         ), moved as ( \
             select m.*, row_number() over (partition by m.tenant_id order by m.since, m.id) as place \
             from (select * from due union all select * from left_behind) m \
         ), placed as ( \
             select m.tenant_id, m.id, m.is_left, m.place - 1 + greatest(mt.job_clock_now(), \
                 1 + coalesce((select j.turn from mt.jobs j \
                     where j.tenant_id = m.tenant_id and j.turn is not null \
                     order by j.turn desc limit 1), -1)) as turn \
             from moved m \
         ) \
         update mt.jobs j set \
             status = case when p.is_left and j.failures + 1 >= $1 then 'dead' else 'ready' end, \
             turn = p.turn, failures = j.failures + p.is_left::integer, \
             lease_token = null, lease_until = null, \
             last_error = case when not p.is_left then j.last_error \
                 when j.failures + 1 >= $1 then 'attempts_exhausted: the last attempt never ended' \
                 else 'abandoned: the attempt never ended' end, \
             done_at = case when p.is_left and j.failures + 1 >= $1 then clock_timestamp() end \
         from placed p where j.tenant_id = p.tenant_id and j.id = p.id \
         returning j.id, j.kind, j.status",
    )
    .bind(i32::try_from(max_attempts).unwrap_or(i32::MAX))
    .fetch_all(tx.conn())
    .await?;
    tx.commit().await?;
    let mut promoted = Promoted { ready: 0, dead: Vec::new() };
    for row in rows {
        match variant("status", row.try_get("status")?)? {
            JobStatus::Dead => {
                let id = JobId::from_uuid(row.try_get("id")?);
                promoted.dead.push((id, row.try_get("kind")?));
            }
            _ => promoted.ready += 1,
        }
    }
    Ok(promoted)
}
