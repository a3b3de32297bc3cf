//! Extensions of Postgres that change what a statement does, with which nothing here holds.

use super::connect_error::ConnectError;
use crate::pg::PgError;
use crate::pg::transaction::open_tx::{End, OpenTx};

/// Extensions that are refused, each with the reason.
const REFUSED: [(&str, &str); 1] = [(
    "citus",
    "its distributed tables take neither the triggers nor the policies nor the foreign keys of the schema, and \
     it does not run the message that opens a transaction as one",
)];

/// Refuses a database with an extension that the schema does not work with, whether or not it is used yet. Ends `tx`.
///
/// # Errors
///
/// [`ConnectError::UnsupportedExtension`], [`ConnectError::Unavailable`].
pub(in crate::pg) async fn check(mut tx: OpenTx) -> Result<(), ConnectError> {
    let unavailable = PgError::into_driver_error;
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
