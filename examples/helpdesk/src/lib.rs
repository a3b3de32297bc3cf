//! A helpdesk for shops: agents answer tickets, viewers read them.

mod jobs;
mod model;
mod purge;
mod tickets;

use mt::axum::{Routes, Service};
use mt::endpoints::{ApiKeys, Invites, Members, ServiceAccounts, SignIn, Tenants};
use mt::prelude::*;

pub use self::jobs::purge_closed;
pub use self::model::*;
pub use self::purge::{jobs, purge_later};

/// Each route, with the permission that its handler asks for.
pub fn routes() -> Routes<Helpdesk> {
    Routes::under("/shops/{shop_id}")
        .get("/tickets", tickets::list)
        .post("/tickets", tickets::create)
        .get("/tickets/{ticket_id}", tickets::show)
        .patch("/tickets/{ticket_id}", tickets::update)
        .delete("/tickets/{ticket_id}", tickets::delete)
        .post("/purges", tickets::purge)
        .get("/tickets/{ticket_id}/comments", tickets::comments)
        .post("/tickets/{ticket_id}/comments", tickets::comment)
}

/// The service: these routes, sign-in, shops, members, invites and API keys; and the jobs.
pub fn service() -> Service<Helpdesk> {
    Service::new(SCHEMA, routes())
        .mount(SignIn)
        .mount(Tenants {
            read: ShopRead,
            update: ShopManage,
            delete: ShopManage,
            usage: Helpdesk::usage(),
        })
        .mount(Members { read: ShopRead, assign: ShopManage, remove: ShopManage })
        .mount(Invites { read: InvitesRead, create: ShopManage, revoke: ShopManage, seats: Seats })
        .mount(ServiceAccounts { read: ShopRead, manage: ShopManage })
        .mount(ApiKeys { read: ShopRead, manage: ShopManage, keys: Keys })
        .with_api_keys("helpdesk")
        .with_jobs(jobs)
}

/// The tables of the service.
pub const SCHEMA: ProductSchema<'_> = ProductSchema { name: "helpdesk", migrator: &MIGRATIONS };
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
