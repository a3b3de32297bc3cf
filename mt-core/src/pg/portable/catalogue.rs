//! Reads the tables from the catalogue.

use sqlx::FromRow;

use crate::pg::PgError;
use crate::pg::connection::database::Database;
use crate::pg::connection::logins::Login;
use crate::pg::connection::roles::APP_ROLE;
use crate::pg::transaction::open_tx::End;

const CATALOGUE: &str = include_str!("catalogue.sql");

/// A table of the catalogue.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) quoted: String,
    pub(super) has_tenant: bool,
    pub(super) goes_with_tenant: bool,
    pub(super) refers_to: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) needed: Vec<bool>,
    pub(super) key: Vec<String>,
    pub(super) app_reads: bool,
}

/// Reads the tables, and the newest applied migration of each schema.
pub(super) async fn read(
    database: &Database,
    schemas: &[String],
) -> Result<(Vec<Found>, Vec<(String, i64)>), PgError> {
    let mut tx = database.begin_looking(Login::App).await?;
    let found: Vec<Found> =
        sqlx::query_as(CATALOGUE).bind(schemas).bind(APP_ROLE).fetch_all(tx.conn()).await?;
    // Roles that a login may set can read the record, not the login itself.
    sqlx::query("select set_config('role', $1, true)").bind(APP_ROLE).execute(tx.conn()).await?;
    let mut versions = Vec::new();
    for schema in schemas {
        let record = format!("{schema}.schema_migrations");
        let Some(table) = found.iter().find(|table| table.name == record) else { continue };
        let sql = format!("select coalesce(max(version), 0) from {} where success", table.quoted);
        let version: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(tx.conn()).await?;
        versions.push((schema.clone(), version));
    }
    tx.end(End::Commit).await?;
    Ok((found, versions))
}
