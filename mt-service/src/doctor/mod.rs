//! Checks whether a service could serve and would isolate its tenants, for a command such as `doctor`.
//!
//! They change nothing. A service adds checks of its own to those of the database, and [`report`] prints all of them as
//! text, JSON or SARIF:
//!
//! ```no_run
//! use mt_core::pg::audit::Audit;
//! use mt_core::pg::{DatabaseOptions, Migration};
//! use mt_service::doctor::{Check, DatabaseChecks, Format, Health, report};
//! use mt_service::output::CommandError;
//! use sqlx::postgres::PgConnectOptions;
//!
//! async fn doctor(login: PgConnectOptions, format: Format) -> Result<(), CommandError> {
//!     let database = DatabaseChecks {
//!         options: DatabaseOptions::new(login.clone()),
//!         fallback: None,
//!         migration: Migration::library(),
//!         audit: Audit::library().schema("app"),
//!         migrate: "shopd migrate",
//!     };
//!     let mut checks = database.run(&login).await;
//!     checks.push(Check::new("disk", Health::Ok, "half of it is free"));
//!     report(&checks, format, "shopd doctor", env!("CARGO_PKG_VERSION"))
//! }
//! ```

mod database;
mod postgres_log;
mod sarif;
#[cfg(feature = "doctor-stripe")]
mod stripe;

use std::error::Error;
use std::time::Duration;

use clap::Args;
use mt_core::access::AccessModel;
use mt_core::pg::audit::Report;
use mt_core::pg::{Database, roles};
use serde::Serialize;

pub use self::database::{DatabaseChecks, behind};
pub use self::sarif::sarif;
#[cfg(feature = "doctor-stripe")]
pub use self::stripe::StripePrices;
use crate::output::{CommandError, print, print_json};
use crate::with_causes;

/// The timeout of a check of one dependency.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The result of one check.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As required.
    Ok,
    /// Acceptable outside of production.
    Warning,
    /// Not acceptable.
    Failed,
}

/// A check and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The name of what was checked, such as `postgres`, `schema` or `isolation`.
    pub name: &'static str,
    /// The result.
    pub health: Health,
    /// One line for each detail; at least one.
    pub details: Vec<String>,
    /// The findings and notes of `isolation`; in JSON the members `findings` and `notes`.
    #[serde(flatten)]
    pub report: Option<Report>,
}

impl Check {
    /// Creates the result of a check with one detail.
    #[must_use]
    pub fn new(name: &'static str, health: Health, detail: impl Into<String>) -> Self {
        Self { name, health, details: vec![detail.into()], report: None }
    }

    /// Creates the result of a check that failed with `error`.
    #[must_use]
    pub fn failed(name: &'static str, error: &(dyn Error + 'static)) -> Self {
        Self::new(name, Health::Failed, with_causes(error))
    }

    /// Creates the check `postgres` of an open database, with the version of its server.
    pub async fn postgres(database: &Database, health: Health) -> Self {
        match database.server_version().await {
            Ok(version) => Self::new("postgres", health, format!("PostgreSQL {version}")),
            Err(error) => Self::failed("postgres", &error),
        }
    }

    /// Creates the check `roles`: that custom roles of tenants name no permission that `M` does not have. A service with
    /// such roles should not start.
    pub async fn roles<M: AccessModel>(database: &Database) -> Self {
        match roles::check::<M>(&database.system()).await {
            Ok(()) => Self::new("roles", Health::Ok, "custom roles name known permissions"),
            Err(error) => Self::failed("roles", &error),
        }
    }

    /// Creates the check `isolation`. A finding is a failure in every environment, because tenants must be isolated in
    /// all of them.
    #[must_use]
    pub fn isolation(report: Report) -> Self {
        let notes = report.notes.iter().map(|note| format!("note: {note}"));
        let mut check = Self::new("isolation", Health::Ok, "nothing in the catalogue breaks it");
        if !report.is_clean() {
            check.health = Health::Failed;
            check.details = report.findings.iter().map(ToString::to_string).collect();
        }
        check.details.extend(notes);
        check.report = Some(report);
        check
    }
}

/// The format of the results. The default is text.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Format {
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    /// Prints the result as SARIF 2.1.0, for CI.
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
}

/// Prints the results of `checks` on stdout. `tool` and `version` are those of the command.
///
/// # Errors
///
/// When a check failed, or stdout cannot be written.
pub fn report(
    checks: &[Check],
    format: Format,
    tool: &str,
    version: &str,
) -> Result<(), CommandError> {
    let failed = checks.iter().filter(|check| check.health == Health::Failed);
    let failed: Vec<&str> = failed.map(|check| check.name).collect();
    if format.json {
        print_json(&serde_json::json!({ "ok": failed.is_empty(), "checks": checks }))?;
    } else if format.sarif {
        print_json(&sarif(checks, tool, version))?;
    } else {
        print(&as_text(checks))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// Returns a line for each detail, in columns that are two spaces apart.
fn as_text(checks: &[Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        let word = match check.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Failed => "FAILED",
        };
        for (number, line) in check.details.iter().flat_map(|detail| detail.lines()).enumerate() {
            rows.push(if number == 0 { (word, check.name, line) } else { ("", "", line) });
        }
    }
    let words = rows.iter().map(|(word, ..)| word.len()).max().unwrap_or_default();
    let names = rows.iter().map(|(_, name, _)| name.len()).max().unwrap_or_default();
    rows.into_iter().fold(String::new(), |text, (word, name, line)| {
        let row = format!("{word:words$}  {name:names$}  {line}");
        text + row.trim_end() + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_line_for_each_detail() {
        let mut schema = Check::new("schema", Health::Failed, "behind by 2");
        schema.details.push("a\nb".to_owned());
        let checks = [Check::new("postgres", Health::Ok, "PostgreSQL 18.1"), schema];
        let text = "ok      postgres  PostgreSQL 18.1\n\
                    FAILED  schema    behind by 2\n                  a\n                  b\n";
        assert_eq!(as_text(&checks), text);
    }
}
