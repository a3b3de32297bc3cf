//! Operators' commands, for the command line of a service.
//!
//! Each is a [`clap::Subcommand`] that a service has among its own, and that runs on the service's database, whether or
//! not a server is running:
//!
//! | | |
//! | --- | --- |
//! | [`TenantsCommand`] | exports, imports and deletes whole tenants, and shows their roles |
//! | [`ApiKeysCommand`] | lists the API keys of a tenant, and revokes keys |
//! | [`MailCommand`] | lists emails in the outbox, and retries them |
//! | [`JobsCommand`] | lists, shows, retries and cancels jobs |
//! | [`WebhooksCommand`] | lists, shows and replays webhook events of Stripe |
//! | [`BillingCommand`] | compares billing with Stripe, and lists tenants whose billing is flagged |
//!
//! The feature `jobs-command` has [`JobsCommand`] alone. Data goes to stdout, as a table or with `--json` as JSON; progress goes to stderr if that is a terminal. A
//! [`Program`] has the name in the audit log and what the service calls its tenants, which is also in the help.
//!
//! ```no_run
//! use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
//! use mt_core::pg::Database;
//! use mt_core::pg::portable::Inventory;
//! use mt_http::Noun;
//! use mt_service::commands::{Program, TenantsCommand};
//! use mt_service::output::CommandError;
//!
//! mt_core::model! {
//!     pub Library;
//!     roles Role { Owner = "owner" (owner), Reader = "reader" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Action {
//!         BooksRead = "books.read" [yes yes] [yes] exempt read;
//!     }
//! }
//!
//! #[derive(Parser)]
//! #[command(name = "branchd")]
//! struct Cli {
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(Subcommand)]
//! enum Command {
//!     /// Exports, imports and deletes branches.
//!     #[command(subcommand)]
//!     Branches(TenantsCommand),
//! }
//!
//! const PROGRAM: Program = Program::new("branchd", Noun::new("branch", "branches"));
//!
//! async fn run(database: &Database) -> Result<(), CommandError> {
//!     let command = Cli::command().mut_subcommand("branches", |command| PROGRAM.describe(command));
//!     let cli = Cli::from_arg_matches(&command.get_matches())?;
//!     let inventory = Inventory::library().schema("app").export("app.books");
//!     match cli.command {
//!         Command::Branches(command) => command.run::<Library>(&PROGRAM, database, inventory).await,
//!     }
//! }
//! ```

#[cfg(feature = "commands")]
mod api_keys;
#[cfg(feature = "commands")]
mod billing;
mod jobs;
#[cfg(feature = "commands")]
mod mail;
mod program;
#[cfg(feature = "commands")]
mod progress;
mod table;
#[cfg(feature = "commands")]
mod tenant_roles;
#[cfg(feature = "commands")]
mod tenants;
#[cfg(feature = "commands")]
mod webhooks;

#[cfg(feature = "commands")]
pub use self::api_keys::ApiKeysCommand;
#[cfg(feature = "commands")]
pub use self::billing::BillingCommand;
pub use self::jobs::JobsCommand;
#[cfg(feature = "commands")]
pub use self::mail::MailCommand;
pub use self::program::Program;
pub use self::table::{Table, time};
#[cfg(feature = "commands")]
pub use self::tenants::TenantsCommand;
#[cfg(feature = "commands")]
pub use self::webhooks::WebhooksCommand;
