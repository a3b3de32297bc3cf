//! Deletion of rows after their retention.

use std::time::Duration;

use mt_core::pg::{audit_log, invites};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{SETUP, World};

const DAY: Duration = Duration::from_hours(24);

async fn run(world: &World, sql: String) {
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test]
async fn audit_entries_are_purged_after_retention_and_never_before_thirty_days() {
    let world = World::new(2).await;
    let system = world.database.system();
    let tenant = world.tenant(world.user("owner").await).await;
    run(&world, "delete from mt.audit_log".to_owned()).await;
    // 1 300 of each age: more than go in one transaction.
    for days in [1, 29, 31, 400] {
        run(
            &world,
            format!(
                "insert into mt.audit_log \
                     (tenant_id, id, at, actor_kind, actor_name, action, target_kind) \
                 select '{tenant}', gen_random_uuid(), now() - interval '{days} days', \
                     'system', 's', 'a', 't' from generate_series(1, 1300)"
            ),
        )
        .await;
    }
    assert_eq!(audit_log::purge(&system, 365 * DAY).await.unwrap(), 1300);
    assert_eq!(audit_log::purge(&system, Duration::ZERO).await.unwrap(), 1300);
    assert_eq!(world.count("select count(*) from mt.audit_log").await, 2600);

    // Whatever the role of this transaction says.
    let delete = "delete from mt.audit_log where at < now()";
    let mut tx = system.begin(SETUP).await.unwrap();
    assert_eq!(sqlx::query(delete).execute(tx.conn()).await.unwrap().rows_affected(), 0);
    tx.rollback().await.unwrap();
    // The control: the policy is what keeps them.
    run(&world, "create policy x on mt.audit_log for delete to mt_system using (true)".to_owned())
        .await;
    let mut tx = system.begin(SETUP).await.unwrap();
    assert_eq!(sqlx::query(delete).execute(tx.conn()).await.unwrap().rows_affected(), 2600);
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn invites_are_deleted_long_after_they_expired() {
    let world = World::new(2).await;
    let tenant = world.tenant(world.user("owner").await).await;
    for (days, ended) in [(89, "null"), (91, "null"), (91, "now()"), (-7, "now()")] {
        run(
            &world,
            format!(
                "insert into mt.invites \
                     (tenant_id, id, email, role, token_hash, invited_by, expires_at, revoked_at) \
                 select '{tenant}', gen_random_uuid(), gen_random_uuid() || '@example.org', \
                     'viewer', '', gen_random_uuid(), now() - interval '{days} days', {ended} \
                 from generate_series(1, 3)"
            ),
        )
        .await;
    }
    let purged = invites::purge(&world.database.system(), 90 * DAY).await.unwrap();
    assert_eq!(purged, 6);
    let left = "select count(*) from mt.invites where expires_at > now() - interval '90 days'";
    assert_eq!(world.count(left).await, 6);
}
