//! The server recovers from faults of its dependencies: Postgres, PgBouncer and Redis.
//!
//! The server is a process of its own under a mixed load: reads, creates, webhooks, sign-ins. One fault
//! after the other is injected ([`Fault`]). After each of them
//!
//! * no write that the server acknowledged is lost, and none is applied twice ([`acknowledged`]);
//! * every kind of request succeeds within two seconds of the dependency's return, and none fails after that;
//! * no connection stays in use and the process is idle.
//!
//! Every answer is the expected one or a 503, and SIGTERM ends the process with 0 within its grace period.
//! `make chaos` is the long version, with the last figures in `bench/results/chaos.md`.
//!
//! [`disconnects`] tests clients that disconnect by the thousand while a table is locked.

mod acknowledged;
mod client;
mod dependencies;
mod disconnects;
mod fault;
mod load;
mod measurement;
mod request;
mod server;
mod setup;
mod shutdown;
mod writes;

use std::time::Duration;

use test_support::report::{median_and_max, median_and_max_count, publish, table};

use self::dependencies::Route;
use self::fault::Fault;
use self::load::Load;
use self::measurement::Measurement;
use self::request::Kind;
use self::server::Server;
use self::setup::Setup;

/// The variable that names the page of `make chaos`.
const PAGE: &str = "MT_CHAOS_PAGE";
/// How long a dependency stays unavailable.
const HOLD: Duration = Duration::from_millis(1500);
/// How long the load continues after a fault, to find failures that persist.
const AFTERWARDS: Duration = Duration::from_millis(2500);

/// The number of rounds that `make chaos` asks for. `None` in a short run.
fn told_rounds() -> Option<usize> {
    std::env::var("MT_CHAOS_ROUNDS").ok().and_then(|value| value.parse().ok())
}

fn rounds() -> usize {
    told_rounds().unwrap_or(1)
}

/// All faults, or only the first ones in a short run.
fn some(faults: &[Fault], first: usize) -> &[Fault] {
    if told_rounds().is_some() { faults } else { &faults[..first] }
}

/// Injects one fault under load and measures it.
async fn run_fault(setup: &mut Setup, server: &Server, fault: Fault) -> Measurement {
    let load = Load::start(server.base_url(), &setup.orgs, &setup.writes, Load::FULL);
    load.runs(5).await;
    let under_way = load.under_way();
    let outage = fault.inject(&mut setup.dependencies, tokio::time::sleep(HOLD)).await;
    tokio::time::sleep(AFTERWARDS).await;
    let measurement = Measurement::of(&load.stop().await, outage, under_way);
    let mut violations = measurement.violations(fault);
    violations.extend(server.violations_at_rest(&setup.dependencies, setup.route).await);
    let name = fault.name();
    assert!(violations.is_empty(), "{name}: {violations:#?}\n{measurement:#?}\n{}", server.log());
    setup.writes.check(&setup.dependencies).await;
    measurement
}

async fn run_faults(route: Route, faults: &[Fault], section: &str) {
    let Some(mut setup) = Setup::new(route).await else { return };
    let server = Server::start(&setup.dependencies, &[]).await;
    let mut all: Vec<Vec<Measurement>> = vec![Vec::new(); faults.len()];
    for _ in 0..rounds() {
        for (fault, measurement) in faults.iter().zip(&mut all) {
            measurement.push(run_fault(&mut setup, &server, *fault).await);
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
    let [creates, events, sign_ins] = setup.writes.check(&setup.dependencies).await;
    let written = |name: &str, comparison: &acknowledged::Comparison| {
        let acknowledged::Comparison { acknowledged, unanswered, lost, doubled, .. } = comparison;
        vec![
            name.to_owned(),
            acknowledged.to_string(),
            unanswered.to_string(),
            lost.len().to_string(),
            doubled.len().to_string(),
        ]
    };
    let comparisons = table(
        &["writes", "acknowledged", "stored without an answer", "lost", "doubled"],
        &[
            written("creates", &creates),
            written("webhooks", &events),
            written("sign-ins", &sign_ins),
        ],
    );
    publish(PAGE, section, &format!("{}\n{comparisons}", table(&head, &rows)));
}

/// Medians and maxima of a fault's rounds.
fn row(fault: Fault, all: &[Measurement]) -> Vec<String> {
    let back = |kind: Kind| {
        let of_kind =
            |one: &Measurement| one.back.iter().find(|(k, _)| *k == kind).map(|(_, back)| *back);
        median_and_max(all.iter().filter_map(of_kind))
    };
    let requests: usize = all.iter().map(|one| one.requests).sum();
    [
        vec![
            fault.name().to_owned(),
            requests.to_string(),
            median_and_max_count(all.iter().map(|one| one.under_way)),
            median_and_max_count(all.iter().map(|one| one.failed)),
        ],
        Kind::ALL.map(back).to_vec(),
        vec![median_and_max(all.iter().map(|one| one.last_failure))],
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_recovers_from_every_fault_of_its_dependencies() {
    run_faults(Route::Direct, &Fault::DIRECT, "figures of faults").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_a_pooler_recovers_too() {
    run_faults(Route::Pooled, some(&Fault::POOLED, 2), "figures of faults behind PgBouncer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_server_within_its_grace_period_during_faults() {
    let Some(mut setup) = Setup::new(Route::Direct).await else { return };
    let mut rows = Vec::new();
    for &fault in some(&Fault::DIRECT, 3) {
        let mut stops = Vec::new();
        for _ in 0..rounds() {
            stops.extend(shutdown::stops(&mut setup, fault).await);
        }
        let took = median_and_max(stops.iter().map(|stop| stop.took));
        rows.push(vec![fault.name().to_owned(), stops.len().to_string(), took]);
    }
    // It applies the events that the stopped servers have stored.
    let last = Server::start(&setup.dependencies, &[]).await;
    setup.writes.check(&setup.dependencies).await;
    assert!(last.terminate().await.succeeded);
    publish(
        PAGE,
        "figures of SIGTERM",
        &table(&["fault", "servers stopped", "until they ended"], &rows),
    );
}
