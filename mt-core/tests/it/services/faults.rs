//! A Postgres that restarts under a sweep.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};

use mt_core::pg::{PgError, ServiceTx, SweepReport};
use mt_core::testing::TestDatabase;
use test_support::postgres::{PostgresServer, Shutdown};
use tokio::sync::Notify;

use super::{Archivist, tenants};
use crate::support::{NotesWrite, World};

/// Writes a note in each tenant, in pages of ten and two at once, and waits in the fifteenth for `meanwhile`.
async fn sweep(
    world: &World,
    meanwhile: impl AsyncFn(),
) -> Result<SweepReport<PgError>, mt_core::pg::SweepError> {
    let visits = AtomicU32::new(0);
    let sweep = world.tenants.for_each_tenant::<Archivist, NotesWrite>();
    let sweep = sweep.page(NonZeroU16::new(10).unwrap()).at_once(NonZeroU16::new(2).unwrap());
    sweep
        .run(async |tx: &mut ServiceTx<NotesWrite>| -> Result<(), PgError> {
            sqlx::query("insert into public.notes (tenant_id, text) values ($1, 'visited')")
                .bind(tx.tenant().as_uuid())
                .execute(tx.query::<NotesWrite>())
                .await?;
            if visits.fetch_add(1, Ordering::SeqCst) == 14 {
                meanwhile().await;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn sweep_waits_for_a_postgres_that_restarts() {
    let Some(mut server) = PostgresServer::start().await else {
        return println!("SKIPPED: there are no binaries of Postgres to start");
    };
    let db = TestDatabase::create_on(server.superuser(), &[]).await.unwrap();
    let world = World::on(db, 4).await;
    tenants(&world, 40).await;
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        let (begun, stopped) = (Notify::new(), Notify::new());
        let restarting = async {
            begun.notified().await;
            server.stop(shutdown).await;
            stopped.notify_one();
            // The two transactions that were open fail, and the others find no server.
            while world.database.system().begin(crate::support::SETUP).await.is_ok() {}
            server.restart().await;
        };
        let sweeping = sweep(&world, async || {
            begun.notify_one();
            stopped.notified().await;
        });
        let (report, ()) = tokio::join!(sweeping, restarting);
        let report = report.unwrap();
        assert_eq!((report.visited, report.left_out), (40, 0), "{shutdown:?}");
        let failed = report.failed.len();
        assert!((1..=2).contains(&failed), "{shutdown:?}: {:?}", report.failed);
        for (_, error) in &report.failed {
            assert!(matches!(error, PgError::Unavailable(_)), "{shutdown:?}: {error:?}");
        }
        let written = world.count("select count(*) from public.notes").await;
        let twice = "select count(*) from (select from public.notes group by tenant_id having count(*) > 1) t";
        // The answer to a commit may have been lost. The one that waited has not committed.
        let written = usize::try_from(written).unwrap();
        assert!((40 - failed..40).contains(&written), "{shutdown:?}: {written}, {failed} failed");
        assert_eq!(world.count(twice).await, 0, "{shutdown:?}");
        sqlx::query("delete from public.notes").execute(world.db.admin()).await.unwrap();
    }
    let report = sweep(&world, async || {}).await.unwrap();
    assert_eq!((report.visited, report.failed.len()), (40, 0));
}
