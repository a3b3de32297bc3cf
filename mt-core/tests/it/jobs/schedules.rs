//! Jobs that recur.

use mt_core::pg::jobs::{JobWorkers, Schedule};

use super::*;
use crate::services::tenants;

const EVERY_MINUTE: &str = "* * * * *";

fn recurring(world: &World) -> Arc<Jobs<Acme>> {
    let schedule = Schedule::parse(EVERY_MINUTE).unwrap();
    let jobs = Jobs::new(&world.tenants, hasty())
        .register::<ServiceNote, _>(Writer::default())
        .schedule("minutely", schedule, &ServiceNote(note("tick", "")))
        .unwrap();
    Arc::new(jobs)
}

/// Runs two engines until each tenant has `ticks` notes, and stops them.
async fn run_until(world: &World, tenants: i64, ticks: i64) {
    let mut engines = Vec::new();
    let mut stops = Vec::new();
    for _ in 0..2 {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        stops.push(stop);
        let workers = JobWorkers { poll: Duration::from_millis(20), ..JobWorkers::default() };
        engines.push(tokio::spawn(recurring(world).work(workers, async {
            _ = stopped.await;
        })));
    }
    let finished = "select count(*) from mt.job_schedules \
         where is_finished and tick > now() - interval '2 minutes'";
    let notes = "select count(*) from public.notes";
    eventually("each tenant has its notes", async || {
        world.count(finished).await == 1 && world.count(notes).await >= tenants * ticks
    })
    .await;
    for stop in stops {
        stop.send(()).unwrap();
    }
    for engine in engines {
        engine.await.unwrap();
    }
}

/// Several ticks were missed, two processes have the schedule, and one of them was killed in the middle of a tick.
#[tokio::test]
async fn tenant_gets_one_job_for_each_tick_and_one_for_all_that_were_missed() {
    let world = World::new(8).await;
    let tenants = tenants(&world, 12).await;
    let long_ago = "update mt.tenants set created_at = now() - interval '1 day'";
    world.db.admin().execute(long_ago).await.unwrap();
    // A schedule that is new begins with its next tick.
    run_until(&world, 12, 0).await;
    assert_eq!(world.count("select count(*) from mt.jobs").await, 0);
    world
        .db
        .admin()
        .execute("update mt.job_schedules set tick = tick - interval '1 hour'")
        .await
        .unwrap();
    run_until(&world, 12, 1).await;
    let each = "select count(*) from (select from public.notes group by tenant_id having count(*) in (1, 2)) n";
    assert_eq!(world.count(each).await, 12, "one, or two if a minute has begun meanwhile");
    assert!(world.count("select count(*) from mt.jobs").await < 36);
    // The tick was begun and the process killed after some tenants.
    let reached = tenants.iter().map(|tenant| tenant.as_uuid()).max().unwrap();
    sqlx::query("update mt.job_schedules set reached = $1, is_finished = false")
        .bind(reached)
        .execute(world.db.admin())
        .await
        .unwrap();
    let before = world.count("select count(*) from public.notes").await;
    run_until(&world, 0, 0).await;
    let after = world.count("select count(*) from public.notes").await;
    assert!(after == before || after == before + 12, "no tenant was left: {before}, {after}");
}

#[tokio::test]
async fn unfinished_job_is_not_doubled_by_the_next_tick() {
    let world = World::new(8).await;
    let [tenant] = tenants(&world, 1).await.try_into().unwrap();
    world.set(tenant, "created_at = now() - interval '1 day', suspension = 'full'").await;
    run_until(&world, 0, 0).await;
    for _ in 0..2 {
        let earlier = "update mt.job_schedules set tick = tick - interval '1 hour'";
        world.db.admin().execute(earlier).await.unwrap();
        run_until(&world, 0, 0).await;
    }
    assert_eq!(world.count("select count(*) from mt.jobs").await, 1);
}
