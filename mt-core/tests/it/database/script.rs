//! Migrations as a script for an administrator, instead of a program that changes the schema.

use mt_core::pg::audit::{Audit, Rule};
use mt_core::pg::{Database, DatabaseOptions, Migration, ProductSchema, ServerLogin};
use mt_core::testing::TestDatabase;
use sqlx::migrate::{Migration as SqlMigration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

/// A product's schema with one table.
fn product() -> Migrator {
    let sql = "create table shop.notes (tenant_id uuid not null, id uuid not null, \
        text text not null default 'it''s', primary key (tenant_id, id)); \
        select mt.isolate('shop.notes')";
    let first = SqlMigration::new(
        1,
        "the shop's notes".into(),
        MigrationType::Simple,
        AssertSqlSafe(sql.to_owned()).into_sql_str(),
        false,
    );
    Migrator::with_migrations(vec![first])
}

/// Runs a script as `psql` does, without its first line, which is an instruction to `psql`.
async fn run(db: &TestDatabase, script: &str) {
    let (first, statements) = script.split_once('\n').unwrap();
    assert_eq!(first, r"\set ON_ERROR_STOP on");
    db.admin().execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
}

#[tokio::test]
async fn a_script_makes_the_same_schema_as_a_migration() {
    let db = TestDatabase::create().await.unwrap();
    db.admin().execute("drop schema mt cascade").await.unwrap();
    let superuser = (*db.admin().connect_options()).clone();
    let login = format!("shop_\"{}", uuid::Uuid::now_v7().simple());
    let quoted = login.replace('"', "\"\"");
    let create = format!("create role \"{quoted}\" login password 'x'");
    db.admin().execute(AssertSqlSafe(create)).await.unwrap();
    let migrator = product();
    let migration = Migration::library()
        .with_product(ProductSchema { name: "shop", migrator: &migrator })
        .for_login(ServerLogin::Existing(&login));

    let pending = migration.pending(&superuser).await.unwrap();
    assert!(pending.len() > 8 && pending.contains(&"shop/0001 the shop's notes".to_owned()));
    run(&db, &migration.script(&pending)).await;

    assert_eq!(migration.pending(&superuser).await.unwrap(), Vec::<String>::new());
    // It compares the checksums of what is recorded, and has nothing to do.
    migration.run(&superuser).await.unwrap();
    // A script of what is pending then changes nothing.
    run(&db, &migration.script(&[])).await;
    let options = DatabaseOptions::new(db.login().username(&login).password("x"));
    let database = Database::connect(options.max_connections(1)).await.unwrap();
    // The test's own logins, and the record of the product's migrations.
    let own = db.login().get_username().to_owned();
    let audit = [own.clone(), format!("{own}_s"), format!("{own}_t")]
        .into_iter()
        .fold(Audit::library(), Audit::login)
        .except(Rule::TenantMissing, "shop.schema_migrations", "the applied migrations");
    let report = audit.run(&database).await.unwrap();
    assert!(report.is_clean(), "{report}");
    database.close().await;
    let drop = format!("drop owned by \"{quoted}\"; drop role \"{quoted}\"");
    db.admin().execute(AssertSqlSafe(drop)).await.unwrap();
}
