//! `mt migrate`, `mt roles` and `mt doctor`, on a database.

use std::fs;

use mt_core::testing::TestDatabase;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use crate::{mt, text};

/// A database without schemas, and a folder with one migration.
async fn empty() -> (TestDatabase, tempfile::TempDir, String) {
    let db = TestDatabase::create().await.unwrap();
    db.admin().execute("drop schema mt cascade").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("migrations")).unwrap();
    assert!(mt(folder.path(), &["add", "table", "shop.orders"]).status.success());
    let superuser = db.admin().connect_options().to_url_lossy().to_string();
    (db, folder, superuser)
}

#[tokio::test]
async fn a_database_is_migrated_and_checked() {
    let (db, folder, superuser) = empty().await;
    let login = db.login_url();
    let user = db.login().get_username().to_owned();
    let schema = ["--schema", "shop=migrations"];
    let doctor = [&["doctor", "--database-url", &login][..], &schema].concat();
    let behind = mt(folder.path(), &doctor);
    assert_eq!(behind.status.code(), Some(1));
    assert!(text(&behind).contains("the database's schema is behind by"), "{}", text(&behind));

    let migrate = ["migrate", "--migrate-database-url", &superuser, "--login", &user];
    let migrate = [&migrate[..], &schema].concat();
    let printed = mt(folder.path(), &[&migrate[..], &["--sql"]].concat());
    assert!(text(&printed).contains("create table shop.orders"), "{}", text(&printed));
    let done = mt(folder.path(), &migrate);
    assert!(text(&done).contains("applied mt/0001 seal\n"), "{}", text(&done));
    assert!(text(&done).ends_with("applied shop/0001 orders\n"), "{}", text(&done));
    assert_eq!(text(&mt(folder.path(), &migrate)), "nothing to apply\n");

    let fine = mt(folder.path(), &doctor);
    assert!(fine.status.success(), "{}", text(&fine));
    assert!(text(&fine).contains("nothing in the catalogue breaks it"));
    assert!(!text(&fine).contains("hint:"), "{}", text(&fine));
    // Without its name, the schema's record of migrations is taken for a table of tenants.
    let unnamed = mt(folder.path(), &["doctor", "--database-url", &login]);
    assert_eq!(unnamed.status.code(), Some(1));
    assert!(text(&unnamed).contains("`mt doctor --schema shop=migrations`"), "{}", text(&unnamed));
    // The control: a table that another tenant's rows could be read from.
    let open =
        "create table shop.open (tenant_id uuid, text text); grant select on shop.open to mt_app";
    db.admin().execute(open).await.unwrap();
    let found = mt(folder.path(), &doctor);
    assert_eq!(found.status.code(), Some(1));
    assert!(text(&found).contains("shop.open"), "{}", text(&found));
}

#[tokio::test]
async fn a_migration_that_fails_is_named_with_the_reason() {
    let (_db, folder, superuser) = empty().await;
    let file = folder.path().join("migrations/0001_orders.sql");
    let unsafe_key = fs::read_to_string(&file).unwrap().replace("(tenant_id, id)", "(id)");
    fs::write(&file, unsafe_key).unwrap();
    let migrate = ["migrate", "--migrate-database-url", &superuser, "--schema", "shop=migrations"];
    let failed = mt(folder.path(), &migrate);
    assert_eq!(failed.status.code(), Some(1));
    let said = "mt: migration `shop/0001 orders` fails: mt.isolate(shop.orders): the primary key must begin with tenant_id\n";
    assert_eq!(text(&failed), said);
}

/// The script that is printed makes the schema that `mt migrate` would.
#[tokio::test]
async fn the_printed_script_leaves_nothing_to_apply() {
    let (db, folder, superuser) = empty().await;
    let user = db.login().get_username().to_owned();
    let migrate = [
        "migrate",
        "--migrate-database-url",
        &superuser,
        "--login",
        &user,
        "--schema",
        "shop=migrations",
    ];
    let script = text(&mt(folder.path(), &[&migrate[..], &["--sql"]].concat()));
    let (_, statements) = script.split_once('\n').unwrap();
    db.admin().execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
    assert_eq!(text(&mt(folder.path(), &migrate)), "nothing to apply\n");
}

#[tokio::test]
async fn roles_are_printed_and_can_be_run_again() {
    let db = TestDatabase::create().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let user = db.login().get_username().to_owned();
    let script = text(&mt(folder.path(), &["roles", "--login", &user]));
    let (first, statements) = script.split_once('\n').unwrap();
    assert_eq!(first, r"\set ON_ERROR_STOP on");
    assert!(statements.contains("mt_authority") && statements.contains(&user));
    for _ in 0..2 {
        db.admin().execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
    }
}

#[test]
fn wrong_input_is_named_and_passwords_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = mt(folder.path(), arguments);
        assert!(!output.status.success());
        text(&output)
    };
    let url = "postgres://a:secret-word@localhost:port/x";
    let bad = refused(&["doctor", "--database-url", url]);
    assert!(bad.contains("`DATABASE_URL` is not a URL of Postgres"), "{bad}");
    assert!(!bad.contains("secret-word"), "{bad}");
    let bad = refused(&["doctor", "--database-url", "postgres://x/y", "--schema", "Shop"]);
    assert!(bad.contains("expected NAME=FOLDER"), "{bad}");
    let bad =
        refused(&["migrate", "--migrate-database-url", "postgres://x/y", "--schema", "a=none"]);
    assert!(bad.contains("`none` is not a folder of migrations"), "{bad}");
    let bad = refused(&["migrate"]);
    assert!(bad.contains("--migrate-database-url"), "{bad}");
}

/// A job of a tenant, dead.
const DEAD: &str = "\
    with tenant as (insert into mt.tenants (id, name, plan) values (gen_random_uuid(), 'a tenant', 'free') returning id) \
    insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
        select id, gen_random_uuid(), 'report', '{\"secret\": \"the payload\"}', 'service', 'planter' from tenant; \
    update mt.jobs set status = 'dead', done_at = now(), last_error = 'broken: it is'";

#[tokio::test]
async fn jobs_are_listed_shown_retried_and_cancelled() {
    let db = TestDatabase::create().await.unwrap();
    db.admin().execute(DEAD).await.unwrap();
    let id: uuid::Uuid =
        sqlx::query_scalar("select id from mt.jobs").fetch_one(db.admin()).await.unwrap();
    let (id, login, folder) = (id.to_string(), db.login_url(), tempfile::tempdir().unwrap());
    let jobs = |arguments: &[&str]| {
        mt(folder.path(), &[&["jobs", "--database-url", &login], arguments].concat())
    };
    let listed = text(&jobs(&["list", "--status", "dead"]));
    assert!(listed.contains("TENANT") && listed.contains("broken: it is"), "{listed}");
    assert!(!listed.contains("the payload"), "{listed}");
    let shown = text(&jobs(&["show", &id]));
    assert!(shown.contains("{\"secret\":\"the payload\"}"), "{shown}");
    let status = async || {
        let status = sqlx::query_scalar("select status from mt.jobs");
        let status: String = status.fetch_one(db.admin()).await.unwrap();
        status
    };
    assert!(jobs(&["retry", "--status", "dead"]).status.success());
    assert_eq!(status().await, "scheduled");
    assert!(jobs(&["cancel", &id]).status.success());
    assert_eq!(status().await, "cancelled");
    // The control: what cannot be cancelled says so.
    let again = jobs(&["cancel", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("the job is cancelled"), "{}", text(&again));
    let nowhere = mt(folder.path(), &["jobs", "list"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere).contains("DATABASE_URL"), "{}", text(&nowhere));
}
