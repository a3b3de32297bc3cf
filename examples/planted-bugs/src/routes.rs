//! The router, made of a table that the tests read as well.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use mt_core::auth::jwt::JwtAuthenticator;
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};

use crate::app::{App, Shared};
use crate::bug::Bug;
use crate::http::export_params;
use crate::keys::Credentials;
use crate::model::Helpdesk;
use crate::{comments, files, jobs, people, reports, ticket_list, tickets};

/// Who gets to a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Guarded {
    /// Members of the shop.
    Members,
    /// A caller who has signed in.
    SignedIn,
    /// Every caller, signed in or not.
    Open,
}

type Entry = (&'static str, &'static str, Guarded, MethodRouter<Shared>);

fn table(app: &App) -> Vec<Entry> {
    use Guarded::{Members, Open, SignedIn};
    let has = |bug| app.has(bug);
    let mut table: Vec<Entry> = vec![
        ("GET", "/health", Open, get(|| async { "fine" })),
        ("GET", "/shops/{shop}/tickets", Members, get(ticket_list::list)),
        ("POST", "/shops/{shop}/tickets", Members, post(tickets::create)),
        ("GET", "/shops/{shop}/tickets/{ticket}", Members, get(tickets::find)),
        ("PUT", "/shops/{shop}/tickets/{ticket}", Members, put(tickets::put)),
        ("GET", "/shops/{shop}/tickets/{ticket}/comments", Members, get(comments::list)),
        ("POST", "/shops/{shop}/tickets/{ticket}/comments", Members, post(comments::create)),
        ("POST", "/shops/{shop}/close", Members, post(jobs::close_some)),
        ("POST", "/shops/{shop}/jobs/close", Members, post(jobs::close_all)),
        ("POST", "/shops/{shop}/jobs/digest", Members, post(jobs::digest)),
        ("GET", "/shops/{shop}/search", Members, get(reports::search)),
        ("GET", "/shops/{shop}/trash", Members, get(reports::trash)),
        ("GET", "/shops/{shop}/t/{ticket}", Members, get(reports::redirect)),
        ("GET", "/shops/{shop}/members", Members, get(people::members)),
        ("POST", "/shops/{shop}/invites", Members, post(people::invite)),
        ("GET", "/shops/{shop}/files/{file}", Members, get(files::find)),
        ("PUT", "/shops/{shop}/files/{file}", Members, put(files::put)),
    ];
    table.push(if has(Bug::NoMembershipAsked) {
        ("GET", "/shops/{shop}", SignedIn, get(people::shop_without_membership))
    } else {
        ("GET", "/shops/{shop}", Members, get(people::shop))
    });
    table.push(match () {
        () if has(Bug::BoardOutsideTheGuards) => {
            ("GET", "/shops/{shop}/board", Open, get(reports::open_board))
        }
        () if has(Bug::BoardByHand) => {
            ("GET", "/shops/{shop}/board", Open, get(reports::board_by_hand))
        }
        () => ("GET", "/shops/{shop}/board", Members, get(reports::board)),
    });
    table.push(if has(Bug::StatsOutsideTheGuards) {
        ("GET", "/shops/{shop}/stats", Open, get(reports::open_stats))
    } else {
        ("GET", "/shops/{shop}/stats", Members, get(reports::stats))
    });
    let export = if has(Bug::ExportForEveryMember) {
        get(reports::export_for_all)
    } else {
        get(reports::export)
    };
    table.push(("GET", "/shops/{shop}/export", Members, export));
    let change = if has(Bug::ChangeUnderAReadPermission) {
        patch(tickets::change_while_reading)
    } else {
        patch(tickets::change)
    };
    table.push(("PATCH", "/shops/{shop}/tickets/{ticket}", Members, change));
    let remove = if has(Bug::DeleteUnderTheWritePermission) {
        delete(tickets::delete_as_a_writer)
    } else {
        delete(tickets::delete)
    };
    table.push(("DELETE", "/shops/{shop}/tickets/{ticket}", Members, remove));
    if has(Bug::RouteThatNoCheckNames) {
        table.push(("GET", "/shops/{shop}/debug", Open, get(reports::open_board)));
    }
    table
}

/// Every operation that the router has.
#[must_use]
pub fn operations(app: &App) -> Vec<(&'static str, &'static str)> {
    table(app).into_iter().map(|(method, path, ..)| (method, path)).collect()
}

/// The helpdesk. `tokens` makes what authenticates its callers.
pub fn router(app: Arc<App>, tokens: impl Fn() -> JwtAuthenticator) -> Router {
    let members = GuardLayer::new((
        Authenticate::new(Credentials::new(&app, tokens())),
        ResolveTenant::new(PathParam("shop")),
        LoadAccess::<Helpdesk, _>::new(app.tenants.clone()),
    ));
    let signed_in = GuardLayer::new(Authenticate::new(Credentials::new(&app, tokens())));
    let of = |guarded: Guarded| {
        let entries = table(&app).into_iter().filter(move |(_, _, of, _)| *of == guarded);
        entries.fold(Router::new(), |router, (_, path, _, method)| router.route(path, method))
    };
    let members = of(Guarded::Members).route_layer(members).route_layer(from_fn(export_params));
    let open = match of(Guarded::SignedIn) {
        router if router.has_routes() => router.route_layer(signed_in),
        router => router,
    };
    members
        .merge(open)
        .merge(of(Guarded::Open))
        .with_state(app)
        .fallback(|| async { mt_tower::problem::Problem::NOT_FOUND.into_response::<Body>(None) })
}
