//! `mt migrate` and `mt roles`.

use clap::Args;
use mt_core::pg::{Migration, ProductSchema, ServerLogin};
use mt_service::output::{CommandError, print};

use crate::database::{Schemas, login};

/// The arguments of `mt migrate`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The URL of the login that migrates. It needs CREATEROLE, and CREATE on the database.
    #[arg(long, env = "MIGRATE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    migrate_database_url: String,
    #[command(flatten)]
    logins: Logins,
    #[command(flatten)]
    schemas: Schemas,
    /// Changes nothing, and prints what is pending as a script for `psql`.
    #[arg(long)]
    sql: bool,
}

/// The arguments of `mt roles`.
#[derive(Args, Debug)]
pub(crate) struct RolesArguments {
    #[command(flatten)]
    logins: Logins,
}

/// The logins of the server, which exist.
#[derive(Args, Debug)]
struct Logins {
    /// The name of the server's login.
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// The name of the login for work across tenants, if there is a second one.
    #[arg(long, value_name = "NAME")]
    system_login: Option<String>,
}

impl Logins {
    fn migration(&self) -> Migration<'_> {
        let mut migration = Migration::library();
        if let Some(login) = &self.login {
            migration = migration.for_login(ServerLogin::Existing(login));
        }
        if let Some(login) = &self.system_login {
            migration = migration.for_system_login(ServerLogin::Existing(login));
        }
        migration
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let connect = login("MIGRATE_DATABASE_URL", &arguments.migrate_database_url)?;
    let schemas = arguments.schemas.read().await?;
    let migration =
        schemas.iter().fold(arguments.logins.migration(), |migration, (name, migrator)| {
            migration.with_product(ProductSchema { name, migrator })
        });
    let pending = migration.pending(&connect).await?;
    if arguments.sql {
        return print(&migration.script(&pending));
    }
    migration.run(&connect).await?;
    if pending.is_empty() {
        return print("nothing to apply\n");
    }
    pending.iter().try_for_each(|migration| print(&format!("applied {migration}\n")))
}

pub(crate) fn roles(arguments: &RolesArguments) -> Result<(), CommandError> {
    print(&arguments.logins.migration().roles_script())
}
