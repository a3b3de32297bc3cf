//! Round trips to Postgres per request, counted in the protocol.

use std::sync::Arc;

use mt_core::testing::{Relay, TestDatabase};
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Server};

/// A server with a single connection, so that it knows its statements after one request.
pub(crate) async fn overheard(settings: &[(&str, &str)]) -> (Relay, Server) {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let relay = Relay::start(&db.login()).await.unwrap();
    let url = relay.url_through(db.login());
    let own = [("DATABASE_URL", url.as_str()), ("DATABASE_MAX_CONNECTIONS", "1")];
    let server = Server::start_on(db, &[&own[..], settings].concat()).await;
    (relay, server)
}

/// The round trips of one request, not the first of its kind.
async fn of(
    (relay, server): &(Relay, Server),
    who: &Person,
    (method, path, body, status): (Method, &str, Option<Value>, u16),
) -> Vec<String> {
    for round in ["cold", "warm"] {
        drop(relay.take_round_trips());
        let answer = server.send(method.clone(), path, Some(&who.token), body.clone()).await;
        assert_eq!(answer.status, status, "{round} {method} {path}: {answer:?}");
    }
    without_the_worker(relay.take_round_trips(), path.split('/').nth(2).expect("an org"))
}

/// The ledger's worker looks for work at its own pace, on the same connection, a transaction at a
/// time: one may have been under way before, and one may come after. Ours names the org first.
pub(crate) fn without_the_worker(trips: Vec<String>, org: &str) -> Vec<String> {
    let mut of_the_worker = true;
    let mut ours = Vec::new();
    for trip in trips {
        let ends = trip.ends_with("commit") || trip == "rollback";
        if trip.contains(org) {
            of_the_worker = false;
        } else if trip.contains("role mt_system") {
            of_the_worker = true;
        }
        if !of_the_worker {
            ours.push(trip);
        } else if ends {
            of_the_worker = false;
        }
    }
    ours
}

#[test]
fn round_trips_of_workers_are_excluded() {
    let trips = |all: &str| all.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let heard = trips(
        "claim, commit, look org, begin role mt_system, claim, commit, begin org, query, commit, \
         begin role mt_system, claim, commit",
    );
    assert_eq!(without_the_worker(heard, "org"), trips("look org, begin org, query, commit"));
}

#[tokio::test]
async fn requests_take_the_documented_round_trips() {
    // A rate limit by plan costs nothing for a member who is known.
    for settings in [&[][..], &[("RATE_LIMIT_API_PER_MIN", "1000000")][..]] {
        let scene = overheard(settings).await;
        let server = &scene.1;
        let owner = server.sign_in("owner").await;
        let org = server.org(&owner).await;
        let projects = format!("{org}/projects");
        let project = server.make(&projects, &owner, json!({"name": "One"})).await;
        let tasks = format!("{projects}/{project}/tasks");
        let task = server.make(&tasks, &owner, json!({"title": "One"})).await;

        let get = |path: &str| (Method::GET, path.to_owned(), None, 200, 3);
        let at_once = |path: &str| (Method::GET, path.to_owned(), None, 200, 1);
        let new = |path: &str, body, trips| (Method::POST, path.to_owned(), Some(body), 201, trips);
        for (method, path, body, status, trips) in [
            get(&org),
            at_once(&projects),
            at_once(&format!("{projects}/{project}")),
            at_once(&tasks),
            // An empty page asks whether there is such a project.
            (Method::GET, format!("{tasks}?status=done"), None, 200, 2),
            at_once(&format!("{org}/tasks/{task}")),
            at_once(&format!("{org}/members")),
            at_once(&format!("{org}/invites")),
            at_once(&format!("{org}/audit")),
            get(&format!("{org}/billing")),
            new(&projects, json!({"name": "Next"}), 2),
            new(&tasks, json!({"title": "Next"}), 2),
            // What is wrong with a request is answered after one more look at the caller's access.
            (Method::POST, tasks.clone(), Some(json!({})), 422, 1),
            (Method::GET, format!("{projects}?limit=none"), None, 400, 1),
        ] {
            let counted = of(&scene, &owner, (method.clone(), &path, body, status)).await;
            assert_eq!(counted.len(), trips, "{method} {path} {settings:?} {counted:#?}");
        }
        scene.1.stop().await;
    }
}
