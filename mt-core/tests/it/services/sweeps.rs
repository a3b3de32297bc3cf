//! Sweeps visit every tenant once, whatever comes and goes, and go on after a crash.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mt_core::access::Suspension;
use mt_core::id::TenantId;
use mt_core::pg::{ForEachTenant, PgError, ServiceTx, SweepError, Tenant};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Archivist, tenants};
use crate::support::{NotesRead, NotesWrite, SETUP, World, write_note};

/// How often each tenant was visited.
#[derive(Default)]
struct Visits(Mutex<BTreeMap<TenantId, u32>>);

impl Visits {
    fn add(&self, tenant: TenantId) -> usize {
        let mut visits = self.0.lock().unwrap();
        *visits.entry(tenant).or_default() += 1;
        visits.len()
    }

    fn of(&self, tenant: TenantId) -> u32 {
        self.0.lock().unwrap().get(&tenant).copied().unwrap_or_default()
    }
}

fn many(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A sweep in pages of three, two tenants at once.
fn sweep(world: &World) -> ForEachTenant<'_, Archivist, NotesWrite> {
    world.tenants.for_each_tenant::<Archivist, NotesWrite>().page(many(3)).at_once(many(2))
}

async fn delete(world: &World, tenant: TenantId) {
    let sql = format!("delete from mt.tenants where id = '{tenant}'");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

/// The lease of a process that has ended runs out.
async fn let_the_lease_run_out(world: &World) {
    let sql = "update mt.sweeps set leased_until = now() - interval '1 second'";
    world.db.admin().execute(sql).await.unwrap();
}

#[tokio::test]
async fn every_tenant_is_visited_once_and_changes_are_committed() {
    let world = World::new(4).await;
    tenants(&world, 10).await;
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 1..=2 {
        let report = sweep(&world)
            .run(async |tx| -> Result<(), PgError> {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                write_note(tx, "visited").await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!((report.visited, report.left_out, report.failed.len()), (10, 0, 0));
        let uneven = "select count(*) from (select tenant_id from public.notes group by 1 \
             having count(*) <> (select max(n) from (select count(*) n from public.notes group by tenant_id) c)) u";
        assert_eq!(world.count("select count(*) from public.notes").await, 10 * round);
        assert_eq!(world.count(uneven).await, 0);
    }
    assert_eq!(most.into_inner(), 2, "two at once, and no more");
}

#[tokio::test]
async fn tenants_may_come_and_go_meanwhile() {
    let world = World::new(4).await;
    let all = tenants(&world, 10).await;
    let visits = Visits::default();
    let report = sweep(&world)
        .run(async |tx: &mut ServiceTx<NotesWrite>| -> Result<(), PgError> {
            if visits.add(tx.tenant()) == 1 {
                // Behind the page that is being visited: one ahead goes, one that was visited goes, and others come.
                delete(&world, all[9]).await;
                let owner = world.user("owner").await;
                world.tenant(owner).await;
                world.tenant(owner).await;
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(report.visited, 9);
    for tenant in &all[..9] {
        assert_eq!(visits.of(*tenant), 1);
    }
    assert_eq!(visits.of(all[9]), 0);
}

#[tokio::test]
async fn sweep_goes_on_after_a_crash() {
    let world = World::new(4).await;
    let all = tenants(&world, 10).await;
    let visits = Visits::default();
    let (reached, never) = (Notify::new(), Notify::new());
    let crashing = sweep(&world).run(async |tx| -> Result<(), PgError> {
        // The first of the third page is under way when the process ends.
        if visits.add(tx.tenant()) > 6 {
            reached.notify_one();
            never.notified().await;
        }
        Ok(())
    });
    tokio::select! {
        _ = crashing => panic!("it was to end in the middle"),
        () = reached.notified() => {}
    }
    // Elsewhere it is still thought to be under way.
    let refused = sweep(&world).run(async |_| Ok::<_, PgError>(())).await.unwrap_err();
    assert!(matches!(refused, SweepError::UnderWay), "{refused:?}");

    let_the_lease_run_out(&world).await;
    let report = sweep(&world)
        .run(async |tx| -> Result<(), PgError> {
            visits.add(tx.tenant());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(report.visited, 4, "two pages were done before");
    for tenant in &all[..6] {
        assert_eq!(visits.of(*tenant), 1, "a page that was stored as done is not repeated");
    }
    assert!(all[6..].iter().all(|tenant| visits.of(*tenant) >= 1));

    // It is finished, so the next one begins at the start.
    let report = sweep(&world).run(async |_| Ok::<_, PgError>(())).await.unwrap();
    assert_eq!(report.visited, 10);
}

#[tokio::test]
async fn process_that_lost_its_lease_stops() {
    let world = World::new(4).await;
    tenants(&world, 10).await;
    let visits = Visits::default();
    let refused = sweep(&world)
        .run(async |tx| -> Result<(), PgError> {
            if visits.add(tx.tenant()) == 1 {
                let_the_lease_run_out(&world).await;
                let other = sweep(&world).named("archivist").run(async |_| Ok::<_, PgError>(()));
                assert_eq!(Box::pin(other).await.unwrap().visited, 10);
            }
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(matches!(refused, SweepError::LeaseLost), "{refused:?}");
    assert!(visits.0.lock().unwrap().len() <= 3, "it stopped at the end of its page");
}

#[tokio::test]
async fn lease_is_renewed_while_a_tenant_takes_long() {
    let world = World::new(4).await;
    tenants(&world, 1).await;
    let report = sweep(&world)
        .run(async |_| -> Result<(), PgError> {
            let_the_lease_run_out(&world).await;
            let renewed = "select count(*) from mt.sweeps where leased_until > now()";
            let renewal = async { while world.count(renewed).await == 0 {} };
            timeout(Duration::from_secs(30), renewal).await.expect("a renewal");
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(report.visited, 1);
}

#[tokio::test]
async fn failure_in_one_tenant_keeps_no_other_waiting() {
    let world = World::new(4).await;
    let all = tenants(&world, 7).await;
    world.set(all[1], "suspension = 'full'").await;
    world.set(all[2], "subscription_status = 'unpaid'").await;
    let report = sweep(&world)
        .run(async |tx: &mut ServiceTx<NotesWrite>| -> Result<(), PgError> {
            write_note(tx, "visited").await;
            if tx.tenant() == all[4] {
                sqlx::query("select 1 / 0").execute(tx.query::<NotesWrite>()).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((report.visited, report.left_out), (5, 2));
    let [(failed, error)] = &report.failed[..] else { panic!("{:?}", report.failed) };
    assert_eq!(*failed, all[4]);
    assert!(matches!(error, PgError::Database(_)), "{error:?}");
    assert_eq!(world.count("select count(*) from public.notes").await, 4, "its note is gone");
}

/// A sweep waits for a database that is away. A tenant whose lock is held has failed.
#[tokio::test]
async fn busy_tenant_keeps_no_other_waiting() {
    let world = World::new(4).await;
    let all = tenants(&world, 5).await;
    let mut suspending = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut suspending, all[1], Suspension::ReadOnly).await.unwrap();
    let sweep = sweep(&world).run(async |_| Ok::<_, PgError>(()));
    let report = timeout(Duration::from_secs(30), sweep).await.expect("it does not wait").unwrap();
    suspending.rollback().await.unwrap();
    let [(failed, error)] = &report.failed[..] else { panic!("{:?}", report.failed) };
    assert_eq!((*failed, report.visited), (all[1], 5));
    assert!(matches!(error, PgError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn sweeps_of_different_names_do_not_disturb_each_other() {
    let world = World::new(4).await;
    tenants(&world, 2).await;
    let reads = || world.tenants.for_each_tenant::<Archivist, NotesRead>();
    let report = reads()
        .run(async |_| -> Result<(), PgError> {
            let inner = reads().named("another").run(async |_| Ok::<_, PgError>(()));
            // The second visit of the outer sweep may find the inner one of the first under way.
            match Box::pin(inner).await {
                Ok(report) => assert_eq!(report.visited, 2),
                Err(error) => assert!(matches!(error, SweepError::UnderWay), "{error:?}"),
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(report.visited, 2);
}
