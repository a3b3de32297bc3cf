//! What the library's schema is compared with is what the migrations make.

use std::path::Path;

use mt_core::testing::TestDatabase;
use sqlx::Executor as _;

const LIBRARY: &str = include_str!("../../../src/pg/audit/sql/library.sql");

/// `MT_BLESS=1` writes it anew, after a migration.
#[tokio::test]
async fn library_schema_matches_the_committed_snapshot() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pg/audit/library.txt");
    let db = TestDatabase::create().await.unwrap();
    let mut conn = db.admin().acquire().await.unwrap();
    conn.execute("set search_path = pg_catalog").await.unwrap();
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as(LIBRARY).fetch_all(&mut *conn).await.unwrap();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(kind, object, name, shape)| format!("{kind}\t{object}\t{name}\t{shape}\n"))
        .collect();
    // Servers sort texts differently.
    lines.sort();
    let now = lines.concat();
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(&committed, &now).unwrap();
    }
    let then = std::fs::read_to_string(&committed).unwrap_or_default();
    for (line, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(then, now, "line {} of library.txt; MT_BLESS=1 accepts it", line + 1);
    }
    assert_eq!(then, now, "library.txt is longer or shorter; MT_BLESS=1 accepts it");
}
