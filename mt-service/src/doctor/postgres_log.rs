//! Checks whether Postgres logs the texts of statements, which contain values of users.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

/// The settings that log the text of successful statements, and the parameters of failed ones. A module that is not
/// loaded has no setting.
const SETTINGS: &str = "select name, setting || coalesce(unit, '') as value from pg_settings \
     where name = 'log_statement' and setting in ('mod', 'all') \
        or name in ('log_min_duration_statement', 'log_min_duration_sample', 'auto_explain.log_min_duration') \
            and setting::bigint >= 0 \
        or name = 'log_transaction_sample_rate' and setting::float8 > 0 \
        or name = 'log_parameter_max_length_on_error' and setting::bigint <> 0 \
     order by name";

/// Returns a line for each setting that logs values, for sessions of `login`.
///
/// # Errors
///
/// When the query fails.
pub(super) async fn logged_values(login: &PgConnectOptions) -> Result<Vec<String>, sqlx::Error> {
    let mut connection: PgConnection = login.clone().disable_statement_logging().connect().await?;
    let rows = sqlx::raw_sql(SETTINGS).fetch_all(&mut connection).await?;
    connection.close().await?;
    let line = |row: &sqlx::postgres::PgRow| {
        let (name, value): (String, String) = (row.try_get("name")?, row.try_get("value")?);
        Ok(format!(
            "{name} is {value}: Postgres logs statements with what users have written; SECURITY.md says how to \
             switch it off"
        ))
    };
    rows.iter().map(line).collect()
}
