//! Webhooks are applied exactly once while receivers, workers and Postgres are killed.
//!
//! Several processes receive signed deliveries, several apply them, all on one Postgres server of the test.
//! Each process aborts at one named [`Step`], or is killed from outside at any moment; each event is sent
//! four times, in no order, until it is acknowledged; some effects fail, and some processes sleep past their
//! lease. An effect also counts itself in a way that is *not* idempotent. In the end
//!
//! * that counter equals the number of events, so that each was applied exactly once;
//! * each tenant has what a pure function of the events says, so that no order mattered;
//! * nothing is left over.
//!
//! The control commits effect and mark in two transactions, and must be caught by the counter.
//!
//! `make storm` is the long version, with the last figures in `bench/results/storm.md`. Without binaries of
//! Postgres to start, the tests' own server is used and not restarted.

mod child;
mod database;
mod deliveries;
mod processes;
mod workload;

use std::time::{Duration, Instant};

use mt_core::pg::ledger::Step;

use self::child::Protocol;
use self::database::TestServer;
use self::deliveries::Deliveries;
use self::processes::{Exits, Processes};
use self::workload::Workload;

/// How hard it blows.
#[derive(Clone, Copy, Debug)]
struct Force {
    customers: usize,
    events: usize,
    copies: usize,
    workers: usize,
    receivers: usize,
    restarts: usize,
}

/// The counts of one run.
#[derive(Debug)]
struct Figures {
    events: i64,
    counter: i64,
    sent: usize,
    exits: Exits,
    restarts: usize,
    took: Duration,
    drained: Duration,
}

/// How long the remaining events may take after the last kill.
const DRAIN: Duration = Duration::from_secs(30);

async fn blow(force: Force, protocol: Protocol, seed: u64) -> Figures {
    let began = Instant::now();
    let mut server = TestServer::start().await;
    let workload = Workload::new(force.customers, force.events, seed);
    server.prepare(&workload).await;
    let mut processes = Processes::start(&server, force.workers, force.receivers, protocol, seed);
    let deliveries = Deliveries::start(&workload, force.copies, processes.ports(), seed);
    let mut restarts = 0;
    let mut is_linked = false;
    while !deliveries.is_done() {
        processes.strike().await;
        let (acknowledged, total) = (deliveries.acknowledged(), deliveries.total());
        if !is_linked && acknowledged * 3 > total {
            server.link_late_customers(&workload).await;
            is_linked = true;
        }
        // Spread over the run.
        if restarts < force.restarts && acknowledged * (force.restarts + 1) > total * (restarts + 1)
        {
            restarts += usize::from(server.crash().await);
        }
    }
    if !is_linked {
        server.link_late_customers(&workload).await;
    }
    processes.stop_aborting();
    let draining = Instant::now();
    while !server.is_drained().await {
        assert!(draining.elapsed() < DRAIN, "left over: {:?}", server.left_over().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let drained = draining.elapsed();
    let exits = processes.stop();
    server.check_rows(&workload, force.copies).await;
    server.check_projection(&workload).await;
    Figures {
        events: i64::try_from(workload.events.len()).unwrap(),
        counter: server.number("select n from public.effect_counter").await,
        sent: deliveries.attempts(),
        exits,
        restarts,
        took: began.elapsed(),
        drained,
    }
}

fn from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The size of one run in `make test`; `make storm` has more.
fn force() -> Force {
    let restarts = from_env("MT_STORM_RESTARTS", 1);
    Force {
        customers: 60,
        events: from_env("MT_STORM_EVENTS", 500),
        copies: 4,
        workers: 3,
        receivers: 2,
        restarts,
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what `make storm` is for")]
fn say(round: usize, what: &str, figures: &Figures) {
    println!("round {round}, {what}: {figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_applied_exactly_once_despite_kills() {
    for round in 1..=from_env("MT_STORM_ROUNDS", 1) {
        let figures = blow(force(), Protocol::Fenced, round as u64).await;
        say(round, "effect and mark in one transaction", &figures);
        assert_eq!(figures.counter, figures.events, "round {round}: {figures}");
        assert!(figures.exits.killed > 0, "no child was killed: {figures}");
        let all: usize = figures.exits.aborted.values().sum();
        assert!(all > figures.exits.aborted.len(), "too few died at their step: {figures}");
    }
}

/// The control. It also shows why tenants are compared apart from the counter: what an event says is joined
/// and not added, so that to apply it twice does no harm there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_and_mark_in_two_transactions_apply_events_twice() {
    let force = Force { customers: 20, events: 150, restarts: 0, ..force() };
    let figures = blow(force, Protocol::Split, 1).await;
    say(1, "the control, in two transactions", &figures);
    assert!(figures.counter > figures.events, "the test would not have noticed: {figures}");
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, counter, sent, exits, restarts, took, drained } = self;
        write!(
            f,
            "{events} events, counter {counter}; {sent} deliveries sent, {} killed, aborted {:?}, {restarts} \
             restarts of Postgres; {:.1} s, of which {:.1} s to drain",
            exits.killed,
            exits.aborted,
            took.as_secs_f64(),
            drained.as_secs_f64(),
        )
    }
}

/// Not a test: the entry point of the child processes. Without the variable that names a role it does nothing.
#[test]
#[ignore = "the tests start it as a child process"]
fn process() {
    child::run();
}

/// Every moment at which a process may end itself.
const STEPS: [Step; 6] =
    [Step::Recorded, Step::Leased, Step::Held, Step::Applied, Step::Marked, Step::Committed];
