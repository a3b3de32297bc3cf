//! Claiming jobs that are ready.

use std::time::Duration;

use serde_json::Value as Json;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{RunsAs, credential};
use crate::auth::Principal;
use crate::id::{JobId, TenantId};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::opening;
use crate::pg::transaction::value::Value;
use crate::pg::work::retry::RetryState;
use crate::pg::{PgError, System, SystemReason};

const CLAIM: SystemReason = SystemReason::new("claim jobs");

/// A job that is leased to this attempt.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: JobId,
    pub(super) tenant: TenantId,
    pub(super) kind: String,
    pub(super) payload: Json,
    pub(super) runs_as: RunsAs,
    pub(super) principal: Option<Principal>,
    pub(super) service: Option<String>,
    pub(super) request: Option<String>,
    /// The lease.
    pub(super) token: Uuid,
    /// The attempts so far, this one included.
    pub(super) state: RetryState,
}

/// Claims up to `most` jobs of the kinds in the order of their turns, and commits that: the lease counts the attempt and
/// outlives it. The turn of the last one is the clock from here on.
///
/// The number is part of the text: with a parameter, Postgres plans for a tenth of all ready jobs. Rows are found again by
/// their place, so that no plan can join them with the table.
pub(super) async fn claim(
    system: &System,
    kinds: &str,
    lease: Duration,
    most: u16,
) -> Result<Vec<Claimed>, PgError> {
    let values =
        vec![Value::word("text[]", kinds), Value::word("float8", lease.as_secs_f64().to_string())];
    let opening = opening::of_system().statement(
        format!(
            "with next as materialized ( \
                 select ctid as place, turn from mt.jobs where status = 'ready' and kind = any ($1) \
                 order by turn, id limit {most} for update skip locked \
             ), clock as materialized ( \
                 select setval('mt.job_clock', greatest((select last_value from mt.job_clock), max(turn))) \
                 from next having count(*) > 0 \
             ) \
             update mt.jobs j set status = 'running', attempts = j.attempts + 1, \
                 lease_token = gen_random_uuid(), \
                 lease_until = clock_timestamp() + make_interval(secs => $2), \
                 started_at = clock_timestamp(), progress_done = null, progress_total = null \
             from clock where j.ctid = any (array(select place from next)) \
             returning j.turn, j.id, j.tenant_id, j.kind, j.payload, j.attempts, j.failures, j.lease_token, \
                 j.authority, j.principal_id, j.credential, j.service, j.request_id, \
                 extract(epoch from clock_timestamp() - j.due_at)::float8 as age"
        ),
        values,
    );
    let (tx, mut rows) = system.begin_with(CLAIM, opening).await?;
    tx.commit().await?;
    rows.sort_by_key(|row| row.try_get::<i64, _>("turn").unwrap_or_default());
    rows.iter().map(|row| Ok(Claimed::read(row)?)).collect()
}

impl Claimed {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count =
            |name| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(name)?).unwrap_or(0));
        let principal: Option<Uuid> = row.try_get("principal_id")?;
        let credential: Option<Json> = row.try_get("credential")?;
        let principal = principal
            .zip(credential)
            .map(|(id, credential)| credential::read(id, credential))
            .transpose()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: JobId::from_uuid(row.try_get("id")?),
            tenant: TenantId::from_uuid(row.try_get("tenant_id")?),
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
            runs_as: variant("authority", row.try_get("authority")?)?,
            principal,
            service: row.try_get("service")?,
            request: row.try_get("request_id")?,
            token: row.try_get("lease_token")?,
            state: RetryState {
                attempts: count("attempts")?,
                failures: count("failures")?,
                age: Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default(),
            },
        })
    }
}
