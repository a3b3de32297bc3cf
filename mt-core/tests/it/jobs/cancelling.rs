//! Cancelling jobs.

use mt_core::access::AccessRequest;
use mt_core::pg::jobs::{Changed, JobStatus, JobWorkers, cancel, cancel_any};

use super::*;

async fn cancelled_by_operator(world: &World, id: JobId) -> Changed {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let changed = cancel_any(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

#[tokio::test]
async fn cancelled_job_does_not_run() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let [tenant, other] = [world.tenant(ada).await, world.tenant(ada).await];
    let (jobs, _) = world.jobs(hasty());
    let job = note("x", "");
    let ready = world.enqueue(ada, tenant, &job).await.id;
    let scheduled =
        world.enqueue(ada, tenant, NewJob::new(&job).after(Duration::from_hours(1))).await.id;
    let by_tenant = async |tenant, id| {
        let request = AccessRequest::<NotesWrite>::new(ada, tenant);
        let mut tx = world.tenants.begin(request).await.unwrap();
        let changed = cancel::<Note, _, _, _>(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        changed
    };
    assert_eq!(by_tenant(other, ready).await, Changed::NotFound, "it is another tenant's");
    assert_eq!(by_tenant(tenant, ready).await, Changed::Done);
    assert_eq!(by_tenant(tenant, ready).await, Changed::Not(JobStatus::Cancelled));
    assert_eq!(cancelled_by_operator(&world, scheduled).await, Changed::Done);
    assert_eq!(cancelled_by_operator(&world, JobId::generate()).await, Changed::NotFound);
    world.later().await;
    assert!(!jobs.run_next().await.unwrap());
    assert!(world.notes().await.is_empty());
}

#[tokio::test]
async fn running_job_learns_that_it_was_cancelled_and_commits_nothing() {
    let world = World::new(6).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let mut policy = hasty();
    policy.retry.lease = Duration::from_millis(300);
    let (jobs, gate) = world.jobs(policy);
    let id = world.enqueue(ada, tenant, &note("x", "until cancelled")).await.id;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(&jobs).work(JobWorkers::default(), async {
        _ = stopped.await;
    }));
    gate.entered.notified().await;
    assert_eq!(cancelled_by_operator(&world, id).await, Changed::Done);
    // Its handler goes on once it knows.
    gate.opened.notified().await;
    stop.send(()).unwrap();
    working.await.unwrap();
    assert_eq!(world.job(id).await.status, JobStatus::Cancelled);
    assert!(world.notes().await.is_empty());
    assert_eq!(jobs.stats().attempts(), [(("note", "lost"), 1)].into());
}

#[tokio::test]
async fn progress_is_visible_while_the_job_runs() {
    let world = World::new(6).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let mut policy = hasty();
    policy.retry.lease = Duration::from_millis(300);
    let (jobs, gate) = world.jobs(policy);
    let id = world.enqueue(ada, tenant, &note("x", "progress")).await.id;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(&jobs).work(JobWorkers::default(), async {
        _ = stopped.await;
    }));
    gate.entered.notified().await;
    eventually("it is stored", async || world.job(id).await.progress == Some((3, 7))).await;
    assert!(world.notes().await.is_empty(), "the effect is not committed yet");
    gate.opened.notify_one();
    stop.send(()).unwrap();
    working.await.unwrap();
    let job = world.job(id).await;
    assert_eq!((job.status, job.progress), (JobStatus::Done, Some((3, 7))));
}
