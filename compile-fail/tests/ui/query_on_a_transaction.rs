//! A statement names the permission that it needs: a transaction itself runs none.

#[path = "model/mod.rs"]
mod model;

use model::ProjectsWrite;
use mt_core::pg::{PgError, SystemTx, TenantTx, query_scalar};

async fn by_sqlx(tx: &mut TenantTx<ProjectsWrite>) -> Result<(), sqlx::Error> {
    sqlx::query("delete from app.projects").execute(tx).await?;
    Ok(())
}

async fn by_sqlx_as_the_system(tx: &mut SystemTx) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from app.projects").fetch_one(tx).await
}

async fn by_mt(tx: &mut TenantTx<ProjectsWrite>) -> Result<Vec<i64>, PgError> {
    query_scalar("select count(*) from app.projects").fetch_all(tx).await
}

fn main() {}
