//! Checks of a database: whether it can be reached, its schema is up to date, and its catalogue isolates tenants.

use std::error::Error;

use mt_core::pg::audit::Audit;
use mt_core::pg::{ConnectError, Database, DatabaseOptions, Migration};
use sqlx::postgres::PgConnectOptions;

use super::postgres_log::logged_values;
use super::{Check, Health, TIMEOUT};
use crate::with_causes;

/// The checks of a database, which are `postgres`, `schema` and `isolation`.
#[derive(Debug)]
pub struct DatabaseChecks<'a> {
    /// How the service connects in production.
    pub options: DatabaseOptions,
    /// How it connects outside of production, if that allows a login that production refuses. Such a login is then a
    /// warning and not a failure.
    pub fallback: Option<DatabaseOptions>,
    /// The migrations of the service.
    pub migration: Migration<'a>,
    /// The audit of its schemas.
    pub audit: Audit,
    /// The command that migrates, such as `shopd migrate`.
    pub migrate: &'a str,
}

impl DatabaseChecks<'_> {
    /// Runs the checks as `login`, as far as the results of earlier ones allow.
    pub async fn run(self, login: &PgConnectOptions) -> Vec<Check> {
        let pending = match in_time(self.migration.pending(login)).await {
            Ok(pending) => pending,
            Err(detail) => return vec![Check::new("postgres", Health::Failed, detail)],
        };
        let mut checks = Vec::new();
        if pending.is_empty() {
            checks.push(Check::new("schema", Health::Ok, "up to date"));
        } else {
            checks.push(Check::new("schema", Health::Failed, behind(&pending, self.migrate)));
        }
        let logged = in_time(logged_values(login)).await.unwrap_or_default();
        let (database, refused) = match Database::connect(self.options.max_connections(1)).await {
            Ok(database) => (Ok(database), None),
            Err(error) => match self.fallback.filter(|_| is_refused(&error)) {
                Some(options) => (Database::connect(options.max_connections(1)).await, Some(error)),
                None => (Err(error), None),
            },
        };
        let database = match database {
            Ok(database) => database,
            Err(error) => {
                checks.insert(0, Check::failed("postgres", &error));
                return checks;
            }
        };
        let is_fine = refused.is_none() && logged.is_empty();
        let health = if is_fine { Health::Ok } else { Health::Warning };
        let mut postgres = Check::postgres(&database, health).await;
        postgres.details.extend(logged);
        postgres.details.extend(refused.map(|error| with_causes(&error)));
        checks.insert(0, postgres);
        checks.push(match self.audit.run(&database).await {
            Ok(report) => Check::isolation(report),
            Err(error) => Check::failed("isolation", &error),
        });
        database.close().await;
        checks
    }
}

/// Returns whether the login could bypass policies.
const fn is_refused(error: &ConnectError) -> bool {
    matches!(error, ConnectError::PrivilegedLogin { .. } | ConnectError::Inherits { .. })
}

/// Returns what to do about a schema that lacks the migrations in `pending`. `migrate` is the command that applies them.
#[must_use]
pub fn behind(pending: &[String], migrate: &str) -> String {
    let (count, names) = (pending.len(), pending.join(", "));
    format!("the database's schema is behind by {count} ({names}); run `{migrate}`")
}

async fn in_time<T, E: Error + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| with_causes(&error)),
        Err(_) => Err(format!("no response within {} seconds", TIMEOUT.as_secs())),
    }
}
