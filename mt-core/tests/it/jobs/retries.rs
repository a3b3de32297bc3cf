//! Attempts that do not succeed.

use mt_core::pg::jobs::{Changed, JobStatus, retry};

use super::*;

async fn one(world: &World, then: &str) -> JobId {
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    world.enqueue(ada, tenant, &note("x", then)).await.id
}

#[tokio::test]
async fn failed_attempts_are_repeated_until_they_run_out() {
    for (then, reason) in
        [("fail", "asked"), ("panic", "panic"), ("break", "database"), ("error", "database")]
    {
        let world = World::new(4).await;
        let id = one(&world, then).await;
        let mut policy = hasty();
        policy.retry.max_attempts = 3;
        let (jobs, _) = world.jobs(policy);
        for attempt in 1..=3 {
            assert!(jobs.run_next().await.unwrap(), "{then} {attempt}");
            let job = world.job(id).await;
            let expected = if attempt < 3 { JobStatus::Scheduled } else { JobStatus::Dead };
            assert_eq!((job.status, job.attempts, job.failures), (expected, attempt, attempt));
            assert!(job.last_error.unwrap().starts_with(reason), "{then}");
            world.later().await;
        }
        assert!(!jobs.run_next().await.unwrap());
        assert!(world.notes().await.is_empty(), "{then}: nothing of it is committed");
        let counts = [(("note", "dead"), 1), (("note", "failed"), 2)];
        assert_eq!(jobs.stats().attempts(), counts.into());
        world.no_transaction_stays_open().await;
    }
}

#[tokio::test]
async fn failed_job_waits_for_its_backoff() {
    let world = World::new(4).await;
    let id = one(&world, "fail").await;
    let (jobs, _) = world.jobs(JobPolicy::default());
    assert!(jobs.run_next().await.unwrap());
    assert!(!jobs.run_next().await.unwrap(), "it waits for a second");
    let job = world.job(id).await;
    assert!(job.run_at > job.started_at.unwrap());
}

#[tokio::test]
async fn dead_job_runs_again_when_an_operator_asks() {
    let world = World::new(4).await;
    let id = one(&world, "die").await;
    let (jobs, _) = world.jobs(hasty());
    assert!(jobs.run_next().await.unwrap());
    assert_eq!(world.job(id).await.status, JobStatus::Dead);
    let change = async |id| {
        let mut tx = world.database.system().begin(SETUP).await.unwrap();
        let changed = retry(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        changed
    };
    assert_eq!(change(id).await, Changed::Done);
    sqlx::query("update mt.jobs set payload = payload || '{\"then\": \"\"}'")
        .execute(world.db.admin())
        .await
        .unwrap();
    assert!(jobs.run_next().await.unwrap());
    let job = world.job(id).await;
    assert_eq!((job.status, job.attempts), (JobStatus::Done, 2));
    assert_eq!(change(id).await, Changed::Not(JobStatus::Done));
    assert_eq!(change(JobId::generate()).await, Changed::NotFound);
}

#[tokio::test]
async fn job_that_does_not_fit_its_type_is_dead_and_shows_no_values() {
    let world = World::new(4).await;
    let id = one(&world, "").await;
    sqlx::query("update mt.jobs set payload = '\"a secret\"'")
        .execute(world.db.admin())
        .await
        .unwrap();
    let (jobs, _) = world.jobs(hasty());
    assert!(jobs.run_next().await.unwrap());
    let job = world.job(id).await;
    assert_eq!(job.status, JobStatus::Dead);
    assert_eq!(job.last_error.as_deref(), Some("payload: it does not fit the job's type"));
}

#[tokio::test]
async fn attempt_that_takes_too_long_has_failed() {
    let world = World::new(4).await;
    let id = one(&world, "hang").await;
    let policy = JobPolicy { time_limit: Duration::from_millis(50), ..hasty() };
    let (jobs, _) = world.jobs(policy);
    assert!(jobs.run_next().await.unwrap());
    let job = world.job(id).await;
    assert_eq!(job.status, JobStatus::Scheduled);
    assert!(job.last_error.unwrap().starts_with("timeout"));
    world.no_transaction_stays_open().await;
}
