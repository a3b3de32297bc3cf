//! `mt-server migrate`.

use clap::Args;
use mt_core::pg::ServerLogin;
use sqlx::postgres::PgConnectOptions;

use super::CommandError;
use super::output::{print, print_json};
use crate::config::Config;
use crate::schema;

/// What `migrate` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Says what was done as JSON.
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
    migration.for_login(ServerLogin::Existing(login.get_username())).run(&connect).await?;
    if arguments.json {
        print_json(&serde_json::json!({ "applied": pending }))?;
    } else if pending.is_empty() {
        print("nothing to apply\n");
    } else {
        for migration in pending {
            print(&format!("applied {migration}\n"));
        }
    }
    Ok(())
}
