//! A helpdesk of many shops, in axum, with bugs to switch on.
//!
//! Each [`Bug`] alters one handler, one query or one thing in the database, compiles, and would show or
//! change another shop's data, or let the wrong role do something. The tests switch on one after the other
//! and ask the tool that has to find it: [`Bug::tool`]. Without a bug every tool is content.
//! `docs/planted-bugs.md` lists all.
//!
//! Do not copy this example: `App::past_the_library` and the branches on bugs exist to plant bugs.

mod app;
mod bug;
mod comments;
mod files;
mod http;
mod jobs;
mod keys;
mod model;
mod people;
mod reports;
mod routes;
mod ticket_list;
mod tickets;

use mt_core::pg::ProductSchema;
use mt_core::pg::audit::{Audit, Rule};
use sqlx::migrate::Migrator;

pub use self::app::App;
pub use self::bug::{Bug, Tool};
pub use self::http::Failure;
pub use self::keys::{KEY_PREFIX, key_hasher};
pub use self::model::Helpdesk;
pub use self::routes::{operations, router};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The helpdesk's tables.
#[must_use]
pub fn schema() -> ProductSchema<'static> {
    ProductSchema { name: "helpdesk", migrator: &MIGRATIONS }
}

/// What keeps the shops apart in the database.
pub fn audit() -> Audit {
    Audit::library().schema("helpdesk").except(
        Rule::TenantMissing,
        "helpdesk.schema_migrations",
        "which versions are applied",
    )
}
