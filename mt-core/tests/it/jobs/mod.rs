//! Jobs: enqueued by a transaction, run in another one.

mod authority;
mod cancelling;
mod envelope;
mod fairness;
mod faults;
mod lease;
mod plans;
mod retries;
mod running;
mod schedules;
#[cfg(unix)]
mod storm;
mod unique;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::{Access, AccessRequest};
use mt_core::auth::Principal;
use mt_core::id::{JobId, TenantId};
use mt_core::pg::Acting;
use mt_core::pg::jobs::{
    AsBoth, AsPrincipal, AsService, Enqueued, EnqueuedBy, Failure, Job, JobAuthority, JobEntry,
    JobError, JobHandler, JobPolicy, JobRun, JobTx, Jobs, NewJob, RetryPolicy, enqueue, find,
};
use serde::{Deserialize, Serialize};
use sqlx::Executor as _;
use tokio::sync::Notify;

use crate::services::Archivist;
use crate::support::{Acme, NotesWrite, SETUP, World, write_note};

/// A job that writes a note, as the principal that enqueued it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Note {
    text: String,
    /// What its handler does after it has written.
    then: String,
}

impl Job for Note {
    type Permission = NotesWrite;
    type Authority = AsPrincipal;
    const NAME: &'static str = "note";
}

/// The same as a service.
#[derive(Deserialize, Serialize)]
struct ServiceNote(Note);

impl Job for ServiceNote {
    type Permission = NotesWrite;
    type Authority = AsService<Archivist>;
    const NAME: &'static str = "service-note";
}

/// The same as both.
#[derive(Deserialize, Serialize)]
struct BothNote(Note);

impl Job for BothNote {
    type Permission = NotesWrite;
    type Authority = AsBoth<Archivist>;
    const NAME: &'static str = "both-note";
}

fn note(text: &str, then: &str) -> Note {
    Note { text: text.to_owned(), then: then.to_owned() }
}

/// Where handlers stop until the test lets them go on.
#[derive(Default)]
struct Gate {
    entered: Notify,
    opened: Notify,
}

/// Writes notes.
#[derive(Clone, Default)]
struct Writer(Arc<Gate>);

impl Writer {
    async fn write<A: Acting>(
        &self,
        note: Note,
        tx: &mut mt_core::pg::TenantTx<NotesWrite, mt_core::pg::Shared, A>,
        run: &JobRun,
    ) -> Result<(), JobError> {
        write_note(tx, &note.text).await;
        let failure = Failure::new("asked", "the job asked for it");
        match note.then.as_str() {
            "" | "enqueue" => Ok(()),
            "fail" => Err(JobError::Failed(failure)),
            "defer" => Err(JobError::Deferred(failure)),
            "die" => Err(JobError::Dead(failure)),
            "panic" => panic!("the job asked for it"),
            "break" => {
                // The error is not returned, and ends the transaction all the same.
                _ = sqlx::query("select 1 / 0").execute(tx.query::<NotesWrite>()).await;
                Ok(())
            }
            "error" => {
                sqlx::query("select 1 / 0").execute(tx.query::<NotesWrite>()).await?;
                Ok(())
            }
            "hang" => std::future::pending().await,
            "until cancelled" => {
                self.0.entered.notify_one();
                run.cancelled().await;
                self.0.opened.notify_one();
                Ok(())
            }
            "progress" => {
                run.set_progress(3, 7);
                self.0.entered.notify_one();
                self.0.opened.notified().await;
                Ok(())
            }
            "wait" => {
                self.0.entered.notify_one();
                self.0.opened.notified().await;
                Ok(())
            }
            other => panic!("{other}"),
        }
    }
}

impl JobHandler<Note> for Writer {
    async fn handle(&self, job: Note, tx: &mut JobTx<Note>, run: &JobRun) -> Result<(), JobError> {
        if job.then == "enqueue" {
            enqueue(tx, &note(&format!("{} again", job.text), "")).await?;
        }
        self.write(job, tx, run).await
    }
}

impl JobHandler<ServiceNote> for Writer {
    async fn handle(
        &self,
        job: ServiceNote,
        tx: &mut JobTx<ServiceNote>,
        run: &JobRun,
    ) -> Result<(), JobError> {
        assert_eq!(tx.access().service(), "archivist");
        self.write(job.0, tx, run).await
    }
}

impl JobHandler<BothNote> for Writer {
    async fn handle(
        &self,
        job: BothNote,
        tx: &mut JobTx<BothNote>,
        run: &JobRun,
    ) -> Result<(), JobError> {
        self.write(job.0, tx, run).await
    }
}

/// Waits of next to none.
fn hasty() -> JobPolicy {
    let retry = RetryPolicy { backoff: Duration::from_millis(1), ..RetryPolicy::default() };
    JobPolicy { retry, ..JobPolicy::default() }
}

impl World {
    fn jobs(&self, policy: JobPolicy) -> (Arc<Jobs<Acme>>, Arc<Gate>) {
        jobs(&self.tenants, policy)
    }

    async fn enqueue<'j, J>(
        &self,
        by: Principal,
        tenant: TenantId,
        job: impl Into<NewJob<'j, J>>,
    ) -> Enqueued
    where
        J: Job<Permission = NotesWrite>,
        J::Authority: JobAuthority<NotesWrite> + EnqueuedBy<Access<Acme>>,
    {
        let request = AccessRequest::<NotesWrite>::new(by, tenant);
        let mut tx = self.tenants.begin(request).await.unwrap();
        let enqueued = enqueue(&mut tx, job).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    }

    async fn job(&self, id: JobId) -> JobEntry {
        let mut tx = self.database.system().begin(SETUP).await.unwrap();
        let entry = find(&mut tx, id).await.unwrap().expect("the job is there");
        tx.commit().await.unwrap();
        entry
    }

    /// The texts of all notes.
    async fn notes(&self) -> Vec<String> {
        let notes = sqlx::query_scalar("select text from public.notes order by text");
        notes.fetch_all(self.db.admin()).await.unwrap()
    }

    /// Makes everything due that waits for its time, or for its lease.
    async fn later(&self) {
        let later = "update mt.jobs set run_at = now() where status = 'scheduled'; \
             update mt.jobs set lease_until = now() - interval '1s' where status = 'running'";
        self.db.admin().execute(later).await.unwrap();
    }
}

fn jobs(tenants: &mt_core::pg::Tenants<Acme>, policy: JobPolicy) -> (Arc<Jobs<Acme>>, Arc<Gate>) {
    let writer = Writer::default();
    let gate = Arc::clone(&writer.0);
    let jobs = Jobs::new(tenants, policy)
        .register::<Note, _>(writer.clone())
        .register::<ServiceNote, _>(writer.clone())
        .register::<BothNote, _>(writer);
    (Arc::new(jobs), gate)
}

/// Polls, since no notification exists.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect(what);
}
