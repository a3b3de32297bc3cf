//! `mt-server migrate`.

use clap::Args;
use mt_core::pg::ServerLogin;
use mt_service::output::{print, print_json};
use sqlx::postgres::PgConnectOptions;

use super::CommandError;
use crate::config::Config;
use crate::schema;

/// The arguments of `migrate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints the applied migrations as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let database = &config.database;
    let (Some(url), Some(migrate_url)) = (&database.url, &database.migrate_url) else {
        return Err("`DATABASE_URL` is not set; the embedded database migrates itself".into());
    };
    let login: PgConnectOptions = url.reveal().parse()?;
    let connect: PgConnectOptions = migrate_url.reveal().parse()?;
    let migration = schema::migration();
    let pending = migration.pending(&connect).await?;
    let system = database.system_url.as_ref().map(|url| url.reveal().parse()).transpose()?;
    let mut migration = migration.for_login(ServerLogin::Existing(login.get_username()));
    if let Some(system) = &system {
        let system: &PgConnectOptions = system;
        migration = migration.for_system_login(ServerLogin::Existing(system.get_username()));
    }
    migration.run(&connect).await?;
    if arguments.json {
        print_json(&serde_json::json!({ "applied": pending }))?;
    } else if pending.is_empty() {
        print("nothing to apply\n")?;
    } else {
        for migration in pending {
            print(&format!("applied {migration}\n"))?;
        }
    }
    Ok(())
}
