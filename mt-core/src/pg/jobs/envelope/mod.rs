//! Jobs that another queue carries.

mod key;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use self::key::EnvelopeKey;
use super::attempt::value;
use super::authority::{EnqueuesBy as _, OpensTx as _};
use super::claim::Claimed;
use super::settle::Ended;
use super::{EnqueuedBy, Job, JobError, JobHandler, JobRun, JobTx, credential};
use crate::access::{Implies, Permission};
use crate::id::{JobId, PrincipalId, TenantId};
use crate::pg::audit_log::{current_request, in_request};
use crate::pg::transaction::batch::Batch;
use crate::pg::transaction::decode::variant;
use crate::pg::work::failure::Failure;
use crate::pg::work::retry::RetryState;
use crate::pg::{Acting, PgError, TenantTx, Tenants};
use crate::text_enum::TextEnum as _;

/// A job for another queue than [`enqueue`](super::enqueue)'s: its tenant, kind, payload and authority, under a seal.
///
/// The other queue decides when the job is delivered, and how often. What the job may do is decided in [`run`](Self::run), as
/// for any other job. The queue is trusted with the order alone: an envelope that was not sealed with the key does not
/// run, and one that is delivered twice has its effect once. The text is not encrypted.
///
/// Put the envelope into the [`outbox`](crate::pg::ledger::outbox) in the transaction that makes it, and pass it on from
/// there: then no envelope exists without its transaction, and none is lost after it.
///
/// ```no_run
/// # use mt_core::pg::jobs::{AsPrincipal, EnvelopeKey, Job, JobEnvelope, JobHandler};
/// # use mt_core::pg::{TenantTx, Tenants};
/// # mt_core::model! {
/// #     pub Shop;
/// #     roles Role { Owner = "owner" (owner) }
/// #     plans Plan { Free = "free" (initial) }
/// #     permissions Action { OrdersShip = "orders.ship" [yes] [yes] exempt write; }
/// # }
/// # #[derive(serde::Deserialize, serde::Serialize)]
/// # struct Ship;
/// # impl Job for Ship {
/// #     type Permission = OrdersShip;
/// #     type Authority = AsPrincipal;
/// #     const NAME: &'static str = "ship";
/// # }
/// # async fn example(
/// #     tx: &TenantTx<OrdersShip>,
/// #     job: &Ship,
/// #     handler: &impl JobHandler<Ship>,
/// #     tenants: &Tenants<Shop>,
/// #     secret: &[u8],
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let key = EnvelopeKey::new(secret);
/// let carried = serde_json::to_string(&JobEnvelope::new(tx, job, &key)?)?;
///
/// // Elsewhere, later:
/// let envelope: JobEnvelope = serde_json::from_str(&carried)?;
/// let is_first = envelope.run(&key, tenants, handler, 1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JobEnvelope {
    /// [`Contents`] as JSON. Text, so that no queue changes the order of members under the seal.
    job: String,
    /// In hexadecimal digits.
    seal: String,
}

#[derive(Deserialize, Serialize)]
struct Contents {
    id: JobId,
    tenant: TenantId,
    kind: String,
    payload: Value,
    runs_as: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

impl JobEnvelope {
    /// Makes an envelope with the authority that `enqueue` would fix now.
    ///
    /// # Errors
    ///
    /// [`PgError::Database`] if the job cannot be written as JSON.
    pub fn new<J, P, L, A>(
        tx: &TenantTx<P, L, A>,
        job: &J,
        key: &EnvelopeKey,
    ) -> Result<Self, PgError>
    where
        J: Job,
        P: Implies<J::Permission>,
        A: Acting,
        J::Authority: EnqueuedBy<A>,
    {
        const { TenantTx::<P, L, A>::assert_covers::<J::Permission>() }
        let principal = J::Authority::principal(tx.access());
        let (principal, credential) = principal.map(credential::stored).unzip();
        let encode = |error| PgError::Database(sqlx::Error::Encode(Box::new(error)));
        let contents = Contents {
            id: JobId::generate(),
            tenant: tx.tenant(),
            kind: J::NAME.to_owned(),
            payload: serde_json::to_value(job).map_err(encode)?,
            runs_as: J::Authority::RUNS_AS.as_str().to_owned(),
            principal: principal.map(PrincipalId::from_uuid),
            credential,
            service: J::Authority::SERVICE.map(str::to_owned),
            request: current_request().as_deref().map(str::to_owned),
        };
        let job = serde_json::to_string(&contents).map_err(encode)?;
        Ok(Self { seal: key.seal(&job), job })
    }

    /// Makes attempt number `attempt` at the job, in a transaction of its tenant under its authority, which is decided now.
    /// Returns `false`, and does nothing, if an earlier delivery has done the job.
    ///
    /// The transaction also adds the job to `mt.jobs` as done. That row is what tells a second delivery, so it has to be
    /// kept longer than the queue may deliver: see [`JobWorkers::keep`](super::JobWorkers::keep). A second delivery that
    /// comes while the first runs waits for it, and fails if that takes too long.
    ///
    /// # Errors
    ///
    /// [`JobError`]: after [`Dead`](JobError::Dead) another attempt is of no use. That is also the answer to a broken seal,
    /// an envelope of another kind, and a principal that may not do it any more.
    pub async fn run<J, H>(
        &self,
        key: &EnvelopeKey,
        tenants: &Tenants<<J::Permission as Permission>::Model>,
        handler: &H,
        attempt: u32,
    ) -> Result<bool, JobError>
    where
        J: Job,
        H: JobHandler<J>,
    {
        let job = self.open(key)?;
        if job.kind != J::NAME {
            return Err(dead("kind", "the envelope holds a job of another kind"));
        }
        let run = JobRun::new(job.id, job.tenant, attempt);
        let attempt = deliver(&job, tenants, handler, &run);
        let ended = match &job.request {
            Some(request) => in_request(request, attempt).await,
            None => attempt.await,
        };
        ended.map_err(|ended| match ended {
            Ended::NotDone(error) => error,
            Ended::LeaseLost => JobError::Failed(Failure::new("lost", "the job was taken over")),
        })
    }

    /// Reads the contents, if the seal is whole.
    fn open(&self, key: &EnvelopeKey) -> Result<Claimed, JobError> {
        if !key.has_sealed(&self.job, &self.seal) {
            return Err(dead("seal", "the envelope was not sealed with this key"));
        }
        claimed(&self.job)
            .map_err(|_| dead("envelope", "the envelope is sealed and cannot be read"))
    }
}

/// Reads contents whose seal is whole.
fn claimed(contents: &str) -> Result<Claimed, Box<dyn std::error::Error>> {
    let contents: Contents = serde_json::from_str(contents)?;
    let principal = contents.principal.zip(contents.credential);
    let principal =
        principal.map(|(id, credential)| credential::read(id.as_uuid(), credential)).transpose()?;
    Ok(Claimed {
        id: contents.id,
        tenant: contents.tenant,
        kind: contents.kind,
        payload: contents.payload,
        runs_as: variant("runs_as", &contents.runs_as)?,
        principal,
        service: contents.service,
        request: contents.request,
        // It has no lease: the row of the job fences its attempts.
        token: Uuid::nil(),
        state: RetryState { attempts: 1, failures: 0, age: Duration::ZERO },
    })
}

async fn deliver<J, H>(
    job: &Claimed,
    tenants: &Tenants<<J::Permission as Permission>::Model>,
    handler: &H,
    run: &JobRun,
) -> Result<bool, Ended>
where
    J: Job,
    H: JobHandler<J>,
{
    let value = value::<J>(job)?;
    let mut tx = J::Authority::open(tenants, job.tenant, job.principal).await?;
    if !add::<J>(job, &mut tx).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    match handler.handle(value, &mut tx, run).await {
        Ok(()) => {
            tx.commit_after(mark(job)).await?;
            Ok(true)
        }
        Err(error) => {
            // The handler's own error is the one to report.
            _ = tx.rollback().await;
            Err(error.into())
        }
    }
}

/// Adds the job's row. `false` if it is there already, by a delivery that has committed.
async fn add<J: Job>(job: &Claimed, tx: &mut JobTx<J>) -> Result<bool, PgError> {
    let (principal, credential) = job.principal.map(credential::stored).unzip();
    let added = sqlx::query(
        "insert into mt.jobs (tenant_id, id, kind, payload, authority, principal_id, credential, service, request_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant_id, id) do nothing",
    )
    .bind(job.tenant.as_uuid())
    .bind(job.id.as_uuid())
    .bind(&job.kind)
    .bind(&job.payload)
    .bind(job.runs_as.as_str())
    .bind(principal)
    .bind(credential)
    .bind(&job.service)
    .bind(&job.request)
    .execute(tx.conn())
    .await?;
    Ok(added.rows_affected() == 1)
}

/// The statement that marks the row as done, in the transaction of the effect.
fn mark(job: &Claimed) -> Batch {
    Batch::default().statement(
        "update mt.jobs set status = 'done', done_at = clock_timestamp() \
         where tenant_id = mt.sealed_tenant_id() and id = $1",
        vec![job.id.as_uuid().into()],
    )
}

fn dead(reason: &'static str, detail: &'static str) -> JobError {
    JobError::Dead(Failure::new(reason, detail))
}
