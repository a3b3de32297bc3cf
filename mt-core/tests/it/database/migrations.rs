//! Migrations by a login without superuser rights, and the schema that they make.

use mt_core::pg::{Database, DatabaseOptions, MigrateError, Migration, ServerLogin};
use mt_core::testing::TestDatabase;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _};

/// A database without the library's schema. The roles are there: they belong to the server.
async fn empty() -> (TestDatabase, PgConnectOptions) {
    let db = TestDatabase::create().await.unwrap();
    db.admin().execute("drop schema mt cascade").await.unwrap();
    let superuser = (*db.admin().connect_options()).clone();
    (db, superuser)
}

/// How often each migration was recorded as applied.
async fn recorded(db: &TestDatabase) -> Vec<(i64, bool)> {
    sqlx::query_as("select version, success from mt.schema_migrations order by version")
        .fetch_all(db.admin())
        .await
        .unwrap()
}

#[tokio::test]
async fn repeated_migration_changes_nothing_and_pending_lists_the_rest() {
    let (db, superuser) = empty().await;
    let migration = Migration::library();
    let pending = migration.pending(&superuser).await.unwrap();
    assert_eq!(pending.first().map(String::as_str), Some("mt/0001 seal"));
    migration.run(&superuser).await.unwrap();
    let applied = recorded(&db).await;
    assert_eq!(applied.len(), pending.len());
    assert_eq!(migration.pending(&superuser).await.unwrap(), Vec::<String>::new());
    migration.run(&superuser).await.unwrap();
    assert_eq!(recorded(&db).await, applied);
}

/// The server and a migrator without superuser ask as different roles and get the same answer.
#[tokio::test]
async fn pending_migrations_do_not_depend_on_the_login() {
    let (db, superuser) = empty().await;
    let migrator = format!("mt_migrator_{}", uuid::Uuid::now_v7().simple());
    let name = db.login().get_database().unwrap().to_owned();
    let sql = format!(
        "create role {migrator} login password 'x' in role mt_owner; \
         grant connect on database {name} to {migrator}"
    );
    db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let migration = Migration::library();
    let logins = [superuser.clone(), db.login(), db.login().username(&migrator).password("x")];
    let all = migration.pending(&superuser).await.unwrap();
    for login in &logins {
        assert_eq!(migration.pending(login).await.unwrap(), all, "{}", login.get_username());
    }
    migration.run(&superuser).await.unwrap();
    for login in &logins {
        let pending = migration.pending(login).await.unwrap();
        assert_eq!(pending, Vec::<String>::new(), "{}", login.get_username());
    }
    let sql = format!("drop owned by {migrator}; drop role {migrator}");
    db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Replicas that start together migrate together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_concurrent_migrators_migrate_an_empty_database_once() {
    for round in 0..5 {
        let (db, superuser) = empty().await;
        let server = format!("mt_server_{}", uuid::Uuid::now_v7().simple());
        let migration = Migration::library().for_login(ServerLogin::Create(&server));
        let run = || migration.run(&superuser);
        let (a, b, c, d) = tokio::join!(run(), run(), run(), run());
        for outcome in [a, b, c, d] {
            assert!(outcome.is_ok(), "round {round}: {outcome:?}");
        }
        let applied = recorded(&db).await;
        assert!(!applied.is_empty() && applied.iter().all(|(_, success)| *success), "{applied:?}");
        let sql = format!("drop owned by {server}; drop role {server}");
        db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

/// As `mt-server migrate` does it for a login without superuser that also serves: it looks up the pending migrations
/// while another process is in the middle of the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifteen_concurrent_plain_migrators_migrate_an_empty_database_once() {
    for round in 0..3 {
        let (db, superuser) = empty().await;
        let login = format!("mt_plain_{}", uuid::Uuid::now_v7().simple());
        let name: String =
            sqlx::query_scalar("select current_database()").fetch_one(db.admin()).await.unwrap();
        let make = format!(
            "create role {login} login createrole password 'x' in role mt_owner, mt_app; \
             grant create, connect on database {name} to {login}"
        );
        db.admin().execute(AssertSqlSafe(make)).await.unwrap();
        let connect = superuser.username(&login).password("x");
        let migration = Migration::library().for_login(ServerLogin::Existing(&login));
        let mut tasks = Vec::new();
        for _ in 0..15 {
            tasks.push(async {
                migration.pending(&connect).await?;
                migration.run(&connect).await?;
                migration.pending(&connect).await
            });
        }
        // One that comes later, at any moment of the first migration.
        let late = async {
            while !migration.pending(&connect).await?.is_empty() {}
            Ok::<_, MigrateError>(())
        };
        let (outcomes, late) = tokio::join!(futures_util::future::join_all(tasks), late);
        late.unwrap();
        for outcome in outcomes {
            assert_eq!(outcome.unwrap(), Vec::<String>::new(), "round {round}");
        }
        let applied = recorded(&db).await;
        assert!(!applied.is_empty() && applied.iter().all(|(_, success)| *success), "{applied:?}");
        let drop = format!("drop owned by {login} cascade; drop role {login}");
        db.admin().execute(AssertSqlSafe(drop)).await.unwrap();
    }
}

/// A login made by the migration has no password, so it comes in by other means; what counts is that
/// it is a plain one, which may become the two roles and is neither of them by itself.
#[tokio::test]
async fn login_created_by_the_migration_has_no_extra_attributes() {
    let (db, superuser) = empty().await;
    let server = format!("mt_server_{}", uuid::Uuid::now_v7().simple());
    let migration = Migration::library().for_login(ServerLogin::Create(&server));
    migration.run(&superuser).await.unwrap();
    migration.run(&superuser).await.unwrap();
    let sql = format!("alter role {server} password 'x'");
    db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    let login = db.login().username(&server).password("x");
    let options = DatabaseOptions::new(login.clone()).max_connections(1);
    let database = Database::connect(options).await.unwrap();
    database.ping().await.unwrap();
    database.close().await;
    let plain: bool = sqlx::query_scalar(
        "select rolcanlogin and not (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb) \
         from pg_roles where rolname = $1",
    )
    .bind(&server)
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert!(plain);
    let sql = format!("drop owned by {server}; drop role {server}");
    db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn offenders(db: &TestDatabase, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(db.admin()).await.unwrap()
}

const UNFORCED: &str = "select c.relname::text from pg_class c \
     where c.relnamespace = 'mt'::regnamespace and c.relkind in ('r', 'p') \
         and c.relname <> 'schema_migrations' \
         and not (c.relrowsecurity and c.relforcerowsecurity) order by 1";

#[tokio::test]
async fn each_table_forces_row_level_security_and_grants_only_row_access() {
    let db = TestDatabase::create().await.unwrap();
    assert_eq!(offenders(&db, UNFORCED).await, Vec::<String>::new());
    let foreign = "select c.relname::text from pg_class c \
         where c.relnamespace = 'mt'::regnamespace and c.relkind in ('r', 'p') \
             and c.relowner <> 'mt_owner'::regrole";
    assert_eq!(offenders(&db, foreign).await, Vec::<String>::new());
    let wide = "select c.relname || ' ' || r from pg_class c, unnest(array['mt_app', 'mt_system']) r \
         where c.relnamespace = 'mt'::regnamespace and c.relkind in ('r', 'p') \
             and has_table_privilege(r, c.oid, 'truncate, trigger, references')";
    assert_eq!(offenders(&db, wide).await, Vec::<String>::new());

    // The negative controls: what was found missing can be found present.
    db.admin().execute("alter table mt.users no force row level security").await.unwrap();
    db.admin().execute("grant truncate on mt.users to mt_app").await.unwrap();
    assert_eq!(offenders(&db, UNFORCED).await, ["users"]);
    assert_eq!(offenders(&db, wide).await, ["users mt_app"]);
}

#[tokio::test]
async fn migrator_without_superuser_prepares_a_database_for_a_plain_login() {
    let db = TestDatabase::create().await.unwrap();
    let suffix = uuid::Uuid::now_v7().simple().to_string();
    let (fresh, migrator, server) =
        (format!("mt_m_{suffix}"), format!("mt_migrator_{suffix}"), format!("mt_server_{suffix}"));
    // On the tests' server the roles are there and belong to its superuser, so the grant comes from it.
    for sql in [
        format!("create role {migrator} login createrole password 'x'"),
        format!("grant mt_owner, mt_app, mt_system, mt_authority to {migrator} with admin option"),
        format!("create role {server} login password 'x'"),
        format!("create database {fresh} owner {migrator}"),
    ] {
        db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let connect = db.login().database(&fresh).password("x");
    let as_migrator = connect.clone().username(&migrator);
    let migration = Migration::library().for_login(ServerLogin::Existing(&server));
    assert_ne!(migration.pending(&as_migrator).await.unwrap(), Vec::<String>::new());
    let (a, b) = tokio::join!(migration.run(&as_migrator), migration.run(&as_migrator));
    a.unwrap();
    b.unwrap();
    let as_server = connect.username(&server);
    assert_eq!(migration.pending(&as_server).await.unwrap(), Vec::<String>::new());
    let options = DatabaseOptions::new(as_server).max_connections(1);
    let database = Database::connect(options).await.unwrap();
    database.ping().await.unwrap();
    database.close().await;
    for sql in [
        format!("drop database {fresh} with (force)"),
        format!("drop role {server}"),
        format!("drop role {migrator}"),
    ] {
        db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }
}
