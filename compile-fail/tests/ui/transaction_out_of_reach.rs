//! What a query is given is not the connection: the transaction cannot be ended from there.

#[path = "model/mod.rs"]
mod model;

use model::ProjectsWrite;
use mt_core::pg::TenantTx;
use sqlx::Connection as _;

async fn ends_it(tx: &mut TenantTx<ProjectsWrite>) {
    let _ = tx.query::<ProjectsWrite>().begin().await;
    let _ = tx.tx.conn();
}

fn main() {}
