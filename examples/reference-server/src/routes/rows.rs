//! What a query has found, as what it is about.

use mt_core::pg::PgError;
use sqlx::FromRow;
use sqlx::postgres::PgRow;

use crate::http::problem::ApiError;

/// All of them.
pub(super) fn all<T: for<'r> FromRow<'r, PgRow>>(rows: &[PgRow]) -> Result<Vec<T>, ApiError> {
    Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>().map_err(PgError::from)?)
}

/// The one, or `not-found`.
pub(super) fn one<T: for<'r> FromRow<'r, PgRow>>(rows: &[PgRow]) -> Result<T, ApiError> {
    let row = rows.first().ok_or_else(ApiError::not_found)?;
    Ok(T::from_row(row).map_err(PgError::from)?)
}
