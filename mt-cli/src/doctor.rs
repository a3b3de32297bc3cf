//! `mt doctor`.

use std::process::ExitCode;

use clap::Args;
use mt_core::pg::audit::{Audit, Rule};
use mt_core::pg::{Database, DatabaseOptions, Migration, ProductSchema};

use crate::database::{Schemas, login};
use crate::{CommandError, print};

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
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let connect = login("DATABASE_URL", &arguments.database_url)?;
    let mut options = DatabaseOptions::new(connect.clone()).max_connections(1);
    if let Some(url) = &arguments.system_database_url {
        options = options.system_login(login("SYSTEM_DATABASE_URL", url)?);
    }
    let schemas = arguments.schemas.read().await?;
    let migration = schemas.iter().fold(Migration::library(), |migration, (name, migrator)| {
        migration.with_product(ProductSchema { name, migrator })
    });
    let pending = migration.pending(&connect).await?;
    if !pending.is_empty() {
        print(&format!(
            "schema: behind by {} ({}); run `mt migrate`\n",
            pending.len(),
            pending.join(", ")
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    print("schema: up to date\n")?;

    let database = Database::connect(options).await?;
    let audit = arguments.schemas.names().fold(Audit::library(), |audit, name| {
        let record = format!("{name}.schema_migrations");
        audit.schema(name).except(Rule::TenantMissing, record, "the applied migrations")
    });
    let report = audit.run(&database).await?;
    database.close().await;
    for note in &report.notes {
        print(&format!("note: {note}\n"))?;
    }
    if report.is_clean() {
        print("isolation: nothing in the catalogue breaks it\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("isolation: {} findings\n{report}\n", report.findings.len()))?;
    Ok(ExitCode::FAILURE)
}
