//! An attempt that has lost its lease commits nothing.

use mt_core::pg::jobs::{JobStatus, JobWorkers};
use sqlx::Executor as _;

use super::*;

/// An attempt stalls until another one has finished the job, and then goes on. Returns the outcomes of the first.
async fn zombie(world: &World) -> Vec<&'static str> {
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (slow, gate) = world.jobs(hasty());
    let id = world.enqueue(ada, tenant, &note("x", "wait")).await.id;
    let stalled = tokio::spawn({
        let slow = Arc::clone(&slow);
        async move { slow.run_next().await }
    });
    gate.entered.notified().await;
    world.later().await;
    let (quick, open) = world.jobs(hasty());
    open.opened.notify_one();
    assert!(quick.run_next().await.unwrap());
    assert_eq!(world.job(id).await.status, JobStatus::Done);
    gate.opened.notify_one();
    assert!(stalled.await.unwrap().unwrap());
    let job = world.job(id).await;
    assert_eq!((job.status, job.attempts, job.failures), (JobStatus::Done, 2, 1));
    slow.stats().attempts().into_keys().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn attempt_that_lost_its_lease_commits_nothing() {
    let world = World::new(6).await;
    assert_eq!(zombie(&world).await, ["lost"]);
    assert_eq!(world.notes().await, ["x"]);
}

/// The control: without the token and the status in the mark, the effect is there twice.
#[tokio::test]
async fn without_the_fence_a_late_attempt_has_its_effect_again() {
    let world = World::new(6).await;
    world
        .db
        .admin()
        .execute(
            "create or replace function mt.finish_job(job uuid, token uuid) returns void language plpgsql \
             as $$ begin \
                 update mt.jobs j set status = 'done', lease_token = null, lease_until = null, done_at = now() \
                 where j.tenant_id = mt.sealed_tenant_id() and j.id = job and j.status = 'running'; \
             end $$",
        )
        .await
        .unwrap();
    assert_eq!(zombie(&world).await, ["done"]);
    assert_eq!(world.notes().await, ["x", "x"]);
}

/// A job whose process is killed at each attempt, by itself perhaps, runs out of attempts.
#[tokio::test]
async fn attempts_that_never_end_run_out() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let mut policy = hasty();
    policy.retry.max_attempts = 3;
    let id = world.enqueue(ada, tenant, &note("x", "wait")).await.id;
    for attempt in 1..=3 {
        let (jobs, gate) = world.jobs(policy);
        let running = tokio::spawn(async move { jobs.run_next().await });
        gate.entered.notified().await;
        assert_eq!(world.job(id).await.attempts, attempt);
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        world.later().await;
    }
    let (jobs, _) = world.jobs(policy);
    assert!(!jobs.run_next().await.unwrap());
    let job = world.job(id).await;
    assert_eq!((job.status, job.failures), (JobStatus::Dead, 3));
    assert!(job.last_error.unwrap().starts_with("attempts_exhausted"));
    assert_eq!(jobs.stats().attempts(), [(("note", "dead"), 1)].into());
}

/// The lease is shorter than the job, and is renewed.
#[tokio::test]
async fn long_job_keeps_its_lease() {
    let world = World::new(6).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let mut policy = hasty();
    policy.retry.lease = Duration::from_millis(300);
    let (jobs, gate) = world.jobs(policy);
    let id = world.enqueue(ada, tenant, &note("x", "wait")).await.id;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(&jobs).work(JobWorkers::default(), async {
        _ = stopped.await;
    }));
    gate.entered.notified().await;
    let first = world.job(id).await.lease_until.unwrap();
    eventually("it is renewed often", async || {
        world.job(id).await.lease_until.unwrap() > first + Duration::from_millis(900)
    })
    .await;
    gate.opened.notify_one();
    stop.send(()).unwrap();
    working.await.unwrap();
    let job = world.job(id).await;
    assert_eq!((job.status, job.attempts), (JobStatus::Done, 1));
}
