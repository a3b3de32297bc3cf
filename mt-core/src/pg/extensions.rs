//! Extensions of Postgres that change what a statement does, with which nothing here holds.

use super::PgError;
use super::database::{ConnectError, Database};
use super::open_tx::End;

/// Extensions that are refused, each with the reason.
const REFUSED: [(&str, &str); 1] = [(
    "citus",
    "its distributed tables take neither the triggers nor the policies nor the foreign keys of the schema, and \
     it does not run the message that opens a transaction as one",
)];

/// Refuses a database with an extension that the schema does not work with, whether or not it is used yet.
///
/// # Errors
///
/// [`ConnectError::UnsupportedExtension`], [`ConnectError::Unavailable`].
pub(super) async fn check(database: &Database) -> Result<(), ConnectError> {
    let unavailable = PgError::into_driver_error;
    let mut tx = database.begin_looking().await.map_err(unavailable)?;
    let names: Vec<String> =
        sqlx::query_scalar("select extname::text from pg_catalog.pg_extension")
            .fetch_all(tx.conn())
            .await?;
    tx.end(End::Commit).await.map_err(unavailable)?;
    match REFUSED.into_iter().find(|(name, _)| names.iter().any(|installed| installed == name)) {
        Some((extension, reason)) => Err(ConnectError::UnsupportedExtension { extension, reason }),
        None => Ok(()),
    }
}
