//! Databases with an extension that the schema does not support.

use mt_core::pg::{ConnectError, Database, DatabaseOptions};
use mt_core::testing::TestDatabase;

/// Citus is not in the packages of Debian. What is looked at is the catalogue, so a row of it stands in.
const STAND_IN: &str = "
    begin;
    set local allow_system_table_mods = on;
    insert into pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    select 4000000000::oid, 'citus', extowner, extnamespace, false, '13.2-1'
    from pg_catalog.pg_extension where extname = 'plpgsql';
    commit";
const GONE: &str = "
    begin;
    set local allow_system_table_mods = on;
    delete from pg_catalog.pg_extension where extname = 'citus';
    commit";

#[tokio::test]
async fn database_with_citus_is_refused_with_the_reason() {
    let db = TestDatabase::create().await.unwrap();
    // The control: without it the same database is taken.
    Database::connect(DatabaseOptions::new(db.login())).await.unwrap().close().await;
    sqlx::raw_sql(STAND_IN).execute(db.admin()).await.unwrap();
    let refused = Database::connect(DatabaseOptions::new(db.login())).await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::UnsupportedExtension { extension: "citus", .. }),
        "{refused}"
    );
    let text = refused.to_string();
    assert!(text.contains("`citus`") && text.contains("triggers"), "{text}");
    sqlx::raw_sql(GONE).execute(db.admin()).await.unwrap();
    Database::connect(DatabaseOptions::new(db.login())).await.unwrap().close().await;
}
