//! What the compiler says when a query of sqlx is run on a transaction itself.
//!
//! A transaction is not an executor: each statement names the permission that it needs. Without the implementations here the
//! compiler says only that sqlx's `Executor` is not implemented. Their condition never holds, and its message names the
//! right call.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::{Database, Either, Execute, Executor, Postgres, SqlStr};

use super::principal_tx::PrincipalTx;
use super::system_tx::SystemTx;
use super::tenant_tx::TenantTx;
use crate::access::Permission;

/// A place to run one statement. No transaction is one.
#[diagnostic::on_unimplemented(
    message = "a query does not run on a transaction, but on a place in it",
    label = "not a place to run a query",
    note = "in a tenant's transaction, name the permission: `tx.query::<P>()` to read, `tx.execute::<P>(entry)` to change \
        rows, `tx.execute_unaudited::<P>()` to change rows without an audit entry",
    note = "in a principal's or the system's transaction: `tx.conn()`"
)]
pub trait Place {
    /// Is never called: no type is a place.
    fn never<T>(self) -> T;
}

macro_rules! no_executor {
    ($([$($generics:tt)*] $tx:ty;)*) => { $(
        #[doc(hidden)]
        impl<'c, $($generics)*> Executor<'c> for $tx
        where
            $tx: Place,
        {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                _: E,
            ) -> BoxStream<'e, Result<Either<Done, Row>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.never()
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                _: E,
            ) -> BoxFuture<'e, Result<Option<Row>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.never()
            }

            fn prepare_with<'e>(
                self,
                _: SqlStr,
                _: &'e [<Postgres as Database>::TypeInfo],
            ) -> BoxFuture<'e, Result<<Postgres as Database>::Statement, sqlx::Error>>
            where
                'c: 'e,
            {
                self.never()
            }

            fn describe<'e>(
                self,
                _: SqlStr,
            ) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
            where
                'c: 'e,
            {
                self.never()
            }
        }
    )* };
}

type Done = <Postgres as Database>::QueryResult;
type Row = <Postgres as Database>::Row;

no_executor! {
    [P: Permission, L] &'c mut TenantTx<P, L>;
    [] &'c mut PrincipalTx;
    [] &'c mut SystemTx;
}
