//! `mt doctor`.

use clap::Args;
use mt_core::pg::audit::{Audit, Report, Rule};
use mt_core::pg::{DatabaseOptions, Migration, ProductSchema};
use mt_service::doctor::{DatabaseChecks, Format, report};
use mt_service::output::CommandError;

use crate::database::{Schemas, login};

/// The arguments of `mt doctor`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The URL of the server's login.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    /// The URL of the login for work across tenants, if there is a second one.
    #[arg(long, env = "SYSTEM_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    system_database_url: Option<String>,
    #[command(flatten)]
    schemas: Schemas,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let connect = login("DATABASE_URL", &arguments.database_url)?;
    let mut options = DatabaseOptions::new(connect.clone());
    if let Some(url) = &arguments.system_database_url {
        options = options.system_login(login("SYSTEM_DATABASE_URL", url)?);
    }
    let schemas = arguments.schemas.read().await?;
    let migration = schemas.iter().fold(Migration::library(), |migration, (name, migrator)| {
        migration.with_product(ProductSchema { name, migrator })
    });
    let audit = arguments.schemas.names().fold(Audit::library(), |audit, name| {
        let record = format!("{name}.schema_migrations");
        audit.schema(name).except(Rule::TenantMissing, record, "the applied migrations")
    });
    let checks =
        DatabaseChecks { options, fallback: None, migration, audit, migrate: "mt migrate" };
    let mut checks = checks.run(&connect).await;
    for check in &mut checks {
        let unnamed = check.report.as_ref().and_then(unnamed_schema);
        check.details.extend(unnamed.map(|schema| {
            format!(
                "hint: `{schema}` is the schema of a service; name it and the folder of its migrations: \
                 `mt doctor --schema {schema}=migrations`"
            )
        }));
    }
    report(&checks, arguments.format, "mt doctor", env!("CARGO_PKG_VERSION"))
}

/// Returns a schema with a record of migrations that no `--schema` names. That record is not a table of tenants.
fn unnamed_schema(report: &Report) -> Option<&str> {
    let mut missing = report.findings.iter().filter(|finding| finding.rule == Rule::TenantMissing);
    missing.find_map(|finding| finding.object.strip_suffix(".schema_migrations"))
}
