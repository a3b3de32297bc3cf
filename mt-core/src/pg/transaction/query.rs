//! A statement with its values, and how its rows are read.

use std::fmt;

use sqlx::encode::Encode;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Decode, FromRow, Postgres, Row as _, Type};

use super::literal::literal;
use super::statement;
use super::value::Value;
use crate::pg::{PgError, QueryExecutor};

/// One statement whose rows are read as `R`: [`query_as`], [`query_scalar`].
///
/// It is written and run as a query of sqlx is. What it adds: [`Tenants::read`](crate::pg::Tenants::read) and
/// [`TenantTx::execute_and_commit`](crate::pg::TenantTx::execute_and_commit) send it in one message with their own
/// statements, and so save round trips. A value of a type that cannot be sent so (an interval, an enum) makes them take a
/// round trip for each part; nothing else changes.
///
/// The text is the program's and the same each time. A read is planned once a connection, for all values, so write it such
/// that one plan is good for all of them, or take two texts. Values are never part of the text.
pub struct Query<R> {
    sql: &'static str,
    arguments: Result<PgArguments, BoxDynError>,
    /// `None` if one of them is of a type that is not written as text.
    values: Option<Vec<Value>>,
    read: ReadRow<R>,
}

pub(in crate::pg) type ReadRow<R> = fn(&PgRow) -> Result<R, sqlx::Error>;

/// A statement whose rows are read by their columns, as `#[derive(sqlx::FromRow)]` has it.
///
/// `sql` has `$1`, `$2` and so on for its values, and names its tables' schemas and, as everywhere, its tenant.
///
/// ```
/// use mt_core::pg::query_as;
///
/// #[derive(sqlx::FromRow)]
/// struct Note {
///     id: i64,
///     text: String,
/// }
///
/// let newest = query_as::<Note>("select id, text from app.notes where tenant_id = $1 order by id desc limit $2")
///     .bind(uuid::Uuid::nil())
///     .bind(20);
/// ```
#[must_use]
pub fn query_as<R>(sql: &'static str) -> Query<R>
where
    R: for<'r> FromRow<'r, PgRow>,
{
    Query::new(sql, |row| R::from_row(row))
}

/// A statement whose rows are read by their first column.
///
/// ```
/// use mt_core::pg::query_scalar;
///
/// let count = query_scalar::<i64>("select count(*) from app.notes where tenant_id = mt.tenant_id()");
/// ```
#[must_use]
pub fn query_scalar<R>(sql: &'static str) -> Query<R>
where
    R: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    Query::new(sql, |row| row.try_get(0))
}

impl<R> Query<R> {
    fn new(sql: &'static str, read: ReadRow<R>) -> Self {
        Self { sql, arguments: Ok(PgArguments::default()), values: Some(Vec::new()), read }
    }

    /// The next value, of any type that sqlx can bind.
    #[must_use]
    pub fn bind<'q, T>(mut self, value: T) -> Self
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        match (&mut self.values, literal(&value)) {
            (Some(values), Some(literal)) => values.push(literal),
            _ => self.values = None,
        }
        if let Ok(arguments) = &mut self.arguments
            && let Err(error) = arguments.add(value)
        {
            self.arguments = Err(error);
        }
        self
    }

    /// Runs it and returns all rows.
    ///
    /// # Errors
    ///
    /// Those of the executor: [`PgError`], or [`BeginError`](crate::pg::BeginError) where the permission is checked too.
    pub async fn fetch_all<E: QueryExecutor>(self, executor: E) -> Result<Vec<R>, E::Error>
    where
        R: Send,
    {
        executor.fetch(self).await
    }

    /// Runs it and returns its first row, if it has one.
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all).
    pub async fn fetch_optional<E: QueryExecutor>(self, executor: E) -> Result<Option<R>, E::Error>
    where
        R: Send,
    {
        Ok(executor.fetch(self).await?.into_iter().next())
    }

    /// Runs it and returns its first row.
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all), and [`sqlx::Error::RowNotFound`] in a [`PgError`] without a row.
    pub async fn fetch_one<E: QueryExecutor>(self, executor: E) -> Result<R, E::Error>
    where
        R: Send,
    {
        let row = self.fetch_optional(executor).await?;
        row.ok_or_else(|| PgError::from(sqlx::Error::RowNotFound).into())
    }

    pub(in crate::pg) const fn sql(&self) -> &'static str {
        self.sql
    }

    /// Its values as text, if all of them can be.
    pub(in crate::pg) fn values(&self) -> Option<&Vec<Value>> {
        self.values.as_ref()
    }

    /// Refuses a statement that neither reads nor changes rows.
    pub(in crate::pg) fn check(&self) -> Result<(), PgError> {
        Ok(statement::checked(self.sql)?)
    }

    /// The same for sqlx, and how its rows are read.
    pub(in crate::pg) fn into_sqlx(
        self,
    ) -> Result<(sqlx::query::Query<'static, Postgres, PgArguments>, ReadRow<R>), PgError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        Ok((sqlx::query_with(self.sql, arguments), self.read))
    }

    /// Reads rows of its.
    pub(in crate::pg) fn read(&self, rows: &[PgRow]) -> Result<Vec<R>, sqlx::Error> {
        rows.iter().map(self.read).collect()
    }
}

impl<R> fmt::Debug for Query<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are the users'.
        f.debug_struct("Query").field("sql", &self.sql).finish_non_exhaustive()
    }
}
