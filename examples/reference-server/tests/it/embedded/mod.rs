//! The embedded Postgres: what it supports, and where it differs from a server.

mod clients;
mod durability;
mod sql;

use std::time::Duration;

use embedded_postgres::{DataDir, EmbeddedPostgres};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// More than anything here takes, and less than for ever.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn temporary() -> EmbeddedPostgres {
    EmbeddedPostgres::start(DataDir::Temporary).await.expect("the engine starts")
}

async fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    tokio::time::timeout(TIMEOUT, PgConnection::connect_with(&postgres.admin_options()))
        .await
        .expect("the engine answers")
        .expect("the engine takes a client")
}

/// Runs several statements in one message.
async fn run(connection: &mut PgConnection, statements: &'static str) -> sqlx::Result<()> {
    connection.execute(statements).await.map(drop)
}

/// The text in the only column of the only row.
async fn text(connection: &mut PgConnection, query: &'static str) -> sqlx::Result<String> {
    sqlx::query_scalar(query).fetch_one(connection).await
}

/// The code of the error that a statement ends in.
async fn sqlstate(connection: &mut PgConnection, statement: &'static str) -> Option<String> {
    let error = run(connection, statement).await.err()?;
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}
