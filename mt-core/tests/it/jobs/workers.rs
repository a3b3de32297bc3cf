//! Workers: wake-ups, polling, how many run at once, and the stop.

use mt_core::pg::jobs::{JobStatus, JobWorkers, backlog, purge};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

fn start(jobs: &Arc<Jobs<Acme>>, workers: JobWorkers) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(jobs).work(workers, async {
        _ = stopped.await;
    }));
    (stop, working)
}

#[tokio::test]
async fn worker_wakes_up_when_a_job_is_enqueued() {
    let world = World::new(6).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, _) = world.jobs(hasty());
    // They would look again in an hour.
    let workers = JobWorkers { poll: Duration::from_hours(1), ..JobWorkers::default() };
    let (stop, working) = start(&jobs, workers);
    for round in 1..=5 {
        // It enqueues another one, which wakes a worker too.
        world.enqueue(ada, tenant, &note("x", "enqueue")).await;
        jobs.wake_up().notify();
        eventually("both run", async || world.notes().await.len() == 2 * round).await;
    }
    stop.send(()).unwrap();
    working.await.unwrap();
}

#[tokio::test]
async fn worker_finds_jobs_of_other_processes_and_those_that_become_due() {
    let world = World::new(6).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, _) = world.jobs(hasty());
    let workers = JobWorkers { poll: Duration::from_millis(20), ..JobWorkers::default() };
    let (stop, working) = start(&jobs, workers);
    let job = note("x", "");
    world.enqueue(ada, tenant, &job).await;
    world.enqueue(ada, tenant, NewJob::new(&job).after(Duration::from_millis(50))).await;
    eventually("both run", async || world.notes().await.len() == 2).await;
    stop.send(()).unwrap();
    working.await.unwrap();
}

/// One tenant alone uses every worker, and a stop waits for what runs and begins nothing.
#[tokio::test]
async fn stop_finishes_what_runs() {
    let world = World::without_shares(12).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, gate) = world.jobs(hasty());
    for number in 1..=6 {
        world.enqueue(ada, tenant, &note(&number.to_string(), "wait")).await;
    }
    let (stop, working) = start(&jobs, JobWorkers { count: 4, ..JobWorkers::default() });
    let running = "select count(*) from mt.jobs where status = 'running'";
    eventually("four run", async || world.count(running).await == 4).await;
    stop.send(()).unwrap();
    for _ in 0..4 {
        assert!(!working.is_finished());
        gate.entered.notified().await;
        gate.opened.notify_one();
    }
    working.await.unwrap();
    assert_eq!(world.notes().await, ["1", "2", "3", "4"]);
    let backlog = backlog(&world.database.system()).await.unwrap();
    assert_eq!((backlog.ready, backlog.running, backlog.dead), (2, 0, 0));
}

#[tokio::test]
async fn finished_jobs_are_purged_by_age() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, _) = world.jobs(hasty());
    let old = world.enqueue(ada, tenant, &note("old", "")).await.id;
    world.enqueue(ada, tenant, &note("new", "die")).await;
    while jobs.run_next().await.unwrap() {}
    world.enqueue(ada, tenant, &note("waits", "")).await;
    sqlx::query("update mt.jobs set done_at = now() - interval '2 days' where id = $1")
        .bind(old.as_uuid())
        .execute(world.db.admin())
        .await
        .unwrap();
    let system = world.database.system();
    assert_eq!(purge(&system, Duration::from_hours(24)).await.unwrap(), 1);
    let backlog = backlog(&system).await.unwrap();
    assert_eq!((backlog.ready, backlog.dead), (1, 1));
    assert_eq!(world.count("select count(*) from mt.jobs").await, 2);
    assert!(!JobStatus::Ready.is_finished());
}
