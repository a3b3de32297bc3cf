//! The library's engine, with a handler of one statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mt_core::billing::StandingPolicy;
use mt_core::pg::Database;
use mt_core::pg::jobs::{
    AsPrincipal, Job, JobError, JobHandler, JobPolicy, JobRun, JobTx, JobWorkers, Jobs,
};
use serde::{Deserialize, Serialize};

use super::PART;
use super::world::{JOBS, Notebook, NotesWrite, World};

#[derive(Deserialize, Serialize)]
struct Note {
    text: String,
}

impl Job for Note {
    type Permission = NotesWrite;
    type Authority = AsPrincipal;
    const NAME: &'static str = "note";
}

struct Write;

impl JobHandler<Note> for Write {
    async fn handle(&self, job: Note, tx: &mut JobTx<Note>, _: &JobRun) -> Result<(), JobError> {
        sqlx::query("insert into public.notes (tenant_id, text) values (mt.tenant_id(), $1)")
            .bind(job.text)
            .execute(tx.query::<NotesWrite>())
            .await?;
        Ok(())
    }
}

pub(crate) fn jobs(database: &Database) -> Arc<Jobs<Notebook>> {
    let tenants = database.tenants(StandingPolicy::default());
    Arc::new(Jobs::new(&tenants, JobPolicy::default()).register::<Note, _>(Write))
}

/// Runs workers for one part, and returns how many jobs they did a second.
pub(crate) async fn work(jobs: &Arc<Jobs<Notebook>>, world: &World, count: u16) -> f64 {
    let began = Instant::now();
    let workers = JobWorkers { count, poll: Duration::from_secs(1), keep: None };
    Arc::clone(jobs).work(workers, tokio::time::sleep(PART)).await;
    let took = began.elapsed();
    let done = world.count("select count(*) from mt.jobs where status = 'done'").await;
    let notes = world.count("select count(*) from public.notes").await;
    let others = "select count(*) from mt.jobs where status not in ('done', 'ready')";
    assert_eq!((notes, world.count(others).await), (done, 0), "each job that was begun is done");
    assert!((1..i64::from(JOBS)).contains(&done), "{done} jobs are done: the workers were idle");
    rate(done, took)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn rate(jobs: i64, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
