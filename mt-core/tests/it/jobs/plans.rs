//! Query plans: claims and what makes jobs ready walk indexes, whatever the number of tenants and of jobs.

use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, DatabaseOptions, Statements};
use mt_core::testing::Relay;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::*;

/// The statements as they are sent: overheard from an engine.
async fn statements(world: &World) -> [(String, &'static str); 2] {
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let relay = Relay::start(&world.db.login()).await.unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login()))
        .max_connections(2)
        .statements(Statements::Unnamed);
    let database = Database::connect(options).await.unwrap();
    let (jobs, _) = jobs(&database.tenants(StandingPolicy::default()), hasty());
    world.enqueue(ada, tenant, &note("x", "")).await;
    assert!(jobs.run_next().await.unwrap());
    let trips = relay.take_round_trips().join("\n");
    let between = |from: &str, to: &str| {
        let (_, rest) = trips.split_once(from).unwrap_or_else(|| panic!("{from} in {trips}"));
        let (statement, _) = rest.split_once(to).unwrap_or_else(|| panic!("{to} in {trips}"));
        format!("{from}{statement}{to}")
    };
    let by_index = "set local enable_bitmapscan = off; set local enable_hashjoin = off; \
         set local enable_mergejoin = off";
    assert!(trips.contains(by_index));
    [
        (between("with next as materialized", "as age"), "select 1"),
        (
            between("with alone as materialized", "returning j.id, j.kind, j.status")
                .replace("$1", "10"),
            by_index,
        ),
    ]
}

/// Each table that is read as a whole, and the rows that the plan has read at most in one place.
fn read(plan: &Value, scans: &mut Vec<String>, most: &mut u64) {
    let node = plan["Node Type"].as_str().unwrap_or_default();
    if matches!(node, "Seq Scan" | "Bitmap Heap Scan" | "Hash Join")
        && (plan["Relation Name"] == "jobs" || node == "Hash Join")
    {
        scans.push(plan.to_string());
    }
    let rows =
        plan["Actual Rows"].as_f64().unwrap_or(0.0) * plan["Actual Loops"].as_f64().unwrap_or(0.0);
    let removed = plan["Rows Removed by Filter"].as_f64().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of rows")]
    let rows = (rows + removed) as u64;
    *most = (*most).max(rows);
    for child in plan["Plans"].as_array().into_iter().flatten() {
        read(child, scans, most);
    }
}

#[tokio::test]
async fn claims_walk_an_index_with_ten_thousand_tenants() {
    let world = World::new(4).await;
    let [claim, promote] = statements(&world).await;
    world
        .db
        .admin()
        .execute(
            "with made as (insert into mt.tenants (id, name) \
                 select gen_random_uuid(), 'Other' from generate_series(1, 10000) returning id) \
             insert into mt.jobs (tenant_id, id, kind, payload, authority, service, run_at) \
             select id, gen_random_uuid(), 'note', '{}', 'service', 's', \
                 now() + case n when 1 then interval '0' when 2 then interval '1h' else interval '0' end \
             from made, generate_series(1, 6) n; \
             update mt.jobs set status = 'done', done_at = now() where random() < 0.3",
        )
        .await
        .unwrap();
    // With statistics of an empty queue, of a full one, and after vacuum.
    for statistics in ["select 1", "analyze mt.jobs", "vacuum analyze mt.jobs"] {
        world.db.admin().execute(statistics).await.unwrap();
        for ((sql, setting), at_most) in [(&claim, 10), (&promote, 5)] {
            let mut conn = world.db.admin().acquire().await.unwrap();
            let begin = format!("begin; set local role mt_system; {setting}");
            conn.execute(AssertSqlSafe(begin)).await.unwrap();
            let explain = format!("explain (analyze, timing off, format json) {sql}");
            let plan: Value =
                sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *conn).await.unwrap();
            conn.execute("rollback").await.unwrap();
            let (mut scans, mut most) = (Vec::new(), 0);
            read(&plan[0]["Plan"], &mut scans, &mut most);
            assert!(scans.is_empty(), "{statistics}: {plan:#}");
            assert!(most <= at_most, "{statistics}: {most} rows: {plan:#}");
        }
    }
}
