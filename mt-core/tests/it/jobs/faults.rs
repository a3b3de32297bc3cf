//! Connections that end and a Postgres that restarts, under workers.

use mt_core::pg::jobs::JobWorkers;
use sqlx::AssertSqlSafe;
use test_support::postgres::{PostgresServer, Shutdown};
use tokio::sync::oneshot;

use super::*;

const DONE: &str = "select count(*) from mt.jobs where status = 'done'";

/// Enqueues jobs of the service, past everything else.
async fn enqueue_many(world: &World, tenant: TenantId, jobs: u32) {
    let sql = format!(
        "insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
         select '{tenant}', gen_random_uuid(), 'service-note', \
             jsonb_build_object('text', gen_random_uuid(), 'then', ''), 'service', 'archivist' \
         from generate_series(1, {jobs}) n"
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

fn quick() -> (JobPolicy, JobWorkers) {
    let mut policy = hasty();
    policy.retry.lease = Duration::from_millis(500);
    policy.retry.max_attempts = 1000;
    let poll = Duration::from_millis(20);
    (policy, JobWorkers { poll, ..JobWorkers::default() })
}

#[tokio::test]
async fn workers_go_on_after_their_connections_have_ended() {
    let world = World::new(8).await;
    let tenant = world.tenant(world.user("ada").await).await;
    let (policy, workers) = quick();
    let (jobs, _) = world.jobs(policy);
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(&jobs).work(workers, async {
        _ = stopped.await;
    }));
    for round in 1..=4 {
        enqueue_many(&world, tenant, 50).await;
        let theirs = "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and starts_with(usename, current_database())";
        world.db.admin().execute(theirs).await.unwrap();
        eventually("all are done", async || world.count(DONE).await == 50 * round).await;
    }
    stop.send(()).unwrap();
    working.await.unwrap();
    let texts = "select count(distinct text) from public.notes";
    assert_eq!((world.count(texts).await, world.notes().await.len()), (200, 200));
}

#[tokio::test]
async fn workers_go_on_after_a_restart_and_a_hang_of_postgres() {
    let Some(mut server) = PostgresServer::start().await else {
        return println!("SKIPPED: there are no binaries of Postgres to start");
    };
    let db = mt_core::testing::TestDatabase::create_on(server.superuser(), &[]).await.unwrap();
    let world = World::on(db, 8).await;
    let tenant = world.tenant(world.user("ada").await).await;
    let (policy, workers) = quick();
    let (jobs, _) = world.jobs(policy);
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(Arc::clone(&jobs).work(workers, async {
        _ = stopped.await;
    }));
    let mut expected = 0;
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        enqueue_many(&world, tenant, 100).await;
        expected += 100;
        server.stop(shutdown).await;
        server.restart().await;
        eventually("all are done", async || {
            let done = sqlx::query_scalar::<_, i64>(DONE).fetch_one(world.db.admin()).await;
            done.is_ok_and(|done| done == expected)
        })
        .await;
    }
    enqueue_many(&world, tenant, 100).await;
    server.pause();
    // Longer than a lease: the jobs that run are taken over, by this process itself.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.resume();
    eventually("all are done", async || world.count(DONE).await == 300).await;
    stop.send(()).unwrap();
    working.await.unwrap();
    let texts = "select count(distinct text) from public.notes";
    assert_eq!((world.count(texts).await, world.notes().await.len()), (300, 300));
}
