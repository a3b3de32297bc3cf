//! Publications, and a login that may replicate: each tenant's changes, past all policies.

use mt_core::pg::Database;
use mt_core::pg::audit::Rule;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{audit, report, two_tenants};
use crate::support::World;

/// How many changes with A's text a login is sent that may replicate and nothing else.
async fn changes_of_a(world: &World, as_login: &PgConnectOptions, options: &str) -> i64 {
    let mut conn = PgConnection::connect_with(as_login).await.unwrap();
    let slot = format!("slot_{}", uuid::Uuid::now_v7().simple());
    let plugin = if options.contains("publication") { "pgoutput" } else { "test_decoding" };
    let create = format!("select pg_create_logical_replication_slot('{slot}', '{plugin}', true)");
    conn.execute(AssertSqlSafe(create)).await.unwrap();
    // The tests' server does not wait for the log, out of which the changes are read.
    let change = "set local synchronous_commit = on; \
        update public.notes set text = 'canary of a' where text = 'canary of a'";
    world.db.admin().execute(change).await.unwrap();
    let count = format!(
        "select count(*) from pg_logical_slot_peek_binary_changes('{slot}', null, null{options}) \
         where position('canary of a'::bytea in data) > 0"
    );
    let found = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    found
}

/// Changes can only be read from a server with `wal_level=logical`, as the tests' own has.
async fn decodes(world: &World) -> bool {
    let level: String = sqlx::query_scalar("select current_setting('wal_level')")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    level == "logical"
}

#[tokio::test]
async fn publication_of_tenant_tables_is_reported() {
    let world = World::new(1).await;
    two_tenants(&world).await;
    let login = world.db.login();
    let subscriber = format!("extra_{}_subscriber", login.get_username());
    let sql = format!(
        "create role {subscriber} login replication password 'x'; \
         grant connect on database {} to {subscriber}; create publication nothing; \
         create table public.unrelated (x int); create publication other for table public.unrelated",
        login.get_database().unwrap()
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let sound = report(&world).await;
    assert!(sound.is_clean(), "{sound}");
    let as_subscriber = login.clone().username(&subscriber).password("x");
    let decodes = decodes(&world).await;
    let changes = async |publication| {
        let options = format!(", 'proto_version', '1', 'publication_names', '{publication}'");
        changes_of_a(&world, &as_subscriber, &options).await
    };
    assert!(!decodes || changes("nothing").await == 0);
    for (name, of) in [
        ("one", "table public.notes"),
        ("everything", "all tables"),
        ("of_a_schema", "tables in schema public"),
    ] {
        let sql = format!("create publication {name} for {of}");
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
        let report = report(&world).await;
        assert!(report.names(Rule::Published, name), "{of}: {report}");
        assert!(report.findings.iter().all(|finding| finding.object == name), "{report}");
        assert!(!decodes || changes(name).await > 0, "{of} sends nothing");
        let sql = format!("drop publication {name}");
        world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let sql = format!("drop owned by {subscriber}; drop role {subscriber}");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test]
async fn login_with_replication_is_reported() {
    let world = World::new(1).await;
    two_tenants(&world).await;
    let login = world.db.login();
    let name = login.get_username();
    let sql = format!("alter role {name} replication");
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let database = Database::connect(world.db.options(1)).await.unwrap();
    let report = audit().run(&database).await.unwrap();
    assert!(report.names(Rule::RoleSkipsPolicies, name), "{report}");
    if decodes(&world).await {
        assert!(changes_of_a(&world, &login, "").await > 0, "the bare login reads every change");
    }
}
