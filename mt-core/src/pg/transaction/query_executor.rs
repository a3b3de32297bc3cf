//! Where a query can be run.

use std::future::Future;

use super::query::Query;
use super::tx_conn::TxConn;
use crate::pg::PgError;

/// What runs a [`Query`]: a place in an open transaction, or [`Tenants::read`](crate::pg::Tenants::read), which opens one.
///
/// Only types of this crate are executors.
#[diagnostic::on_unimplemented(
    message = "a query does not run on `{Self}`",
    label = "not a place to run a query",
    note = "in a tenant's transaction, name the permission: `tx.query::<P>()` to read, `tx.execute::<P>(entry)` to change \
        rows, `tx.execute_and_commit::<P>(entry)` for the last change",
    note = "without a transaction: `tenants.read(request)`",
    note = "in a principal's or the system's transaction: `tx.conn()`"
)]
pub trait QueryExecutor: private::Sealed + Send {
    /// Why no rows are returned.
    type Error: From<PgError> + Send;

    #[doc(hidden)]
    fn fetch<R: Send>(
        self,
        query: Query<R>,
    ) -> impl Future<Output = Result<Vec<R>, Self::Error>> + Send;
}

pub(in crate::pg) mod private {
    pub trait Sealed {}
}

impl private::Sealed for TxConn<'_> {}

impl QueryExecutor for TxConn<'_> {
    type Error = PgError;

    async fn fetch<R: Send>(self, query: Query<R>) -> Result<Vec<R>, PgError> {
        let (query, read) = query.into_sqlx()?;
        let rows = query.fetch_all(self).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}
