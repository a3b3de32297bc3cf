//! A running server while the world around it breaks: Postgres, its pooler, Redis.
//!
//! The server is a process of its own under a mixed load: reads, creates, webhooks, sign-ins. One fault
//! after the other strikes ([`Fault`]). After each of them
//!
//! * no write that the server acknowledged is lost, and none is carried out twice ([`accounts`]);
//! * every kind of request succeeds within two seconds of the dependency's return, and none fails after that;
//! * no connection stays lent out and the process does next to nothing.
//!
//! Meanwhile every answer is the wanted one or a 503, and SIGTERM ends the process with 0 within its grace.
//! `make chaos` is the long version, with the last figures in `docs/chaos.md`.
//!
//! [`crowd`] is another scene: clients that hang up by the thousand while a table is locked.

mod accounts;
mod books;
mod client;
mod crowd;
mod fault;
mod figures;
mod load;
mod measure;
mod pgbouncer;
#[path = "../../../../mt-stripe/tests/it/storm/server.rs"]
mod postgres;
mod redis;
mod request;
mod scene;
mod server;
mod stopping;
mod world;

use std::time::Duration;

use self::fault::Fault;
use self::figures::{median_and_max, median_and_most, publish, table};
use self::load::Load;
use self::measure::Measured;
use self::request::Kind;
use self::scene::Scene;
use self::server::Server;
use self::world::Way;

/// How long a dependency is away that is kept away.
const HOLD: Duration = Duration::from_millis(1500);
/// How long the load goes on after a fault: what fails then would be a fault that stays.
const AFTERWARDS: Duration = Duration::from_millis(2500);

/// How often everything happens, where `make chaos` says so. `None` in a run of all tests, which is short.
fn told_rounds() -> Option<usize> {
    std::env::var("MT_CHAOS_ROUNDS").ok().and_then(|value| value.parse().ok())
}

fn rounds() -> usize {
    told_rounds().unwrap_or(1)
}

/// The first of these in a short run, which has not the time for all.
fn some(faults: &[Fault], first: usize) -> &[Fault] {
    if told_rounds().is_some() { faults } else { &faults[..first] }
}

/// One fault under load, and what is left of it.
async fn weather(scene: &mut Scene, server: &Server, fault: Fault) -> Measured {
    let load = Load::start(server.base_url(), &scene.orgs, &scene.books, Load::FULL);
    load.runs(5).await;
    let under_way = load.under_way();
    let outage = fault.strike(&mut scene.world, tokio::time::sleep(HOLD)).await;
    tokio::time::sleep(AFTERWARDS).await;
    let measured = Measured::of(&load.stop().await, outage, under_way);
    let mut objections = measured.objections(fault);
    objections.extend(server.unrest(&scene.world, scene.way).await);
    let name = fault.name();
    assert!(objections.is_empty(), "{name}: {objections:#?}\n{measured:#?}\n{}", server.log());
    scene.books.check(&scene.world).await;
    measured
}

async fn storm(way: Way, faults: &[Fault], section: &str) {
    let Some(mut scene) = Scene::set(way).await else { return };
    let server = Server::start(&scene.world, &[]).await;
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); faults.len()];
    for _ in 0..rounds() {
        for (fault, measured) in faults.iter().zip(&mut all) {
            measured.push(weather(&mut scene, &server, *fault).await);
        }
    }
    let stop = server.terminate().await;
    assert!(stop.succeeded, "{stop:?}");
    let rows: Vec<_> = faults.iter().zip(&all).map(|(fault, all)| row(*fault, all)).collect();
    let head = [
        "fault",
        "requests",
        "under way",
        "failed",
        "read",
        "create",
        "webhook",
        "link",
        "sign-in",
        "last failure",
    ];
    let [creates, events, sign_ins] = scene.books.check(&scene.world).await;
    let written = |name: &str, balance: &accounts::Balance| {
        let accounts::Balance { acknowledged, unanswered, lost, doubled, .. } = balance;
        vec![
            name.to_owned(),
            acknowledged.to_string(),
            unanswered.to_string(),
            lost.len().to_string(),
            doubled.len().to_string(),
        ]
    };
    let balances = table(
        &["writes", "acknowledged", "stored without an answer", "lost", "doubled"],
        &[
            written("creates", &creates),
            written("webhooks", &events),
            written("sign-ins", &sign_ins),
        ],
    );
    publish(section, &format!("{}\n{balances}", table(&head, &rows)));
}

/// Medians and maxima of a fault's rounds.
fn row(fault: Fault, all: &[Measured]) -> Vec<String> {
    let back = |kind: Kind| {
        let of_kind =
            |one: &Measured| one.back.iter().find(|(k, _)| *k == kind).map(|(_, back)| *back);
        median_and_max(all.iter().filter_map(of_kind))
    };
    let requests: usize = all.iter().map(|one| one.requests).sum();
    [
        vec![
            fault.name().to_owned(),
            requests.to_string(),
            median_and_most(all.iter().map(|one| one.under_way)),
            median_and_most(all.iter().map(|one| one.failed)),
        ],
        Kind::ALL.map(back).to_vec(),
        vec![median_and_max(all.iter().map(|one| one.last_failure))],
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_recovers_from_every_fault_of_its_dependencies() {
    storm(Way::Direct, &Fault::DIRECT, "figures of faults").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_a_pooler_recovers_too() {
    storm(Way::Pooled, some(&Fault::POOLED, 2), "figures of faults behind PgBouncer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_server_within_its_grace_whatever_is_away() {
    let Some(mut scene) = Scene::set(Way::Direct).await else { return };
    let mut rows = Vec::new();
    for &fault in some(&Fault::DIRECT, 3) {
        let mut stops = Vec::new();
        for _ in 0..rounds() {
            stops.extend(stopping::stops(&mut scene, fault).await);
        }
        let took = median_and_max(stops.iter().map(|stop| stop.took));
        rows.push(vec![fault.name().to_owned(), stops.len().to_string(), took]);
    }
    // It applies what the others have taken.
    let last = Server::start(&scene.world, &[]).await;
    scene.books.check(&scene.world).await;
    assert!(last.terminate().await.succeeded);
    publish("figures of SIGTERM", &table(&["fault", "servers stopped", "until they ended"], &rows));
}
