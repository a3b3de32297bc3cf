//! Webhooks through a storm: receivers, workers and Postgres itself are killed in the middle of them.
//!
//! Several processes receive signed deliveries, several apply them, all on one Postgres of the storm's own.
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
//! `make storm` is the long version, with the last figures in `docs/storm.md`. Without binaries of
//! Postgres to start, the tests' own server is used and not restarted.

mod cluster;
mod plot;
mod processes;
mod role;
mod sender;
mod server;

use std::time::{Duration, Instant};

use mt_core::pg::ledger::Step;

use self::cluster::Cluster;
use self::plot::Plot;
use self::processes::{Deaths, Processes};
use self::role::Protocol;
use self::sender::Sending;

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

/// What was counted.
#[derive(Debug)]
struct Figures {
    events: i64,
    counter: i64,
    sent: usize,
    deaths: Deaths,
    restarts: usize,
    took: Duration,
    drained: Duration,
}

/// How long what is left may take once nobody is killed any more.
const DRAIN: Duration = Duration::from_secs(30);

async fn blow(force: Force, protocol: Protocol, seed: u64) -> Figures {
    let began = Instant::now();
    let mut cluster = Cluster::start().await;
    let plot = Plot::new(force.customers, force.events, seed);
    cluster.prepare(&plot).await;
    let mut processes = Processes::start(&cluster, force.workers, force.receivers, protocol, seed);
    let sending = Sending::start(&plot, force.copies, processes.ports(), seed);
    let mut restarts = 0;
    let mut is_linked = false;
    while !sending.is_done() {
        processes.strike().await;
        let (acknowledged, total) = (sending.acknowledged(), sending.total());
        if !is_linked && acknowledged * 3 > total {
            cluster.link_the_late(&plot).await;
            is_linked = true;
        }
        // Spread over the storm.
        if restarts < force.restarts && acknowledged * (force.restarts + 1) > total * (restarts + 1)
        {
            restarts += usize::from(cluster.crash().await);
        }
    }
    if !is_linked {
        cluster.link_the_late(&plot).await;
    }
    processes.calm();
    let draining = Instant::now();
    while !cluster.is_drained().await {
        assert!(draining.elapsed() < DRAIN, "left over: {:?}", cluster.left_over().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let drained = draining.elapsed();
    let deaths = processes.stop();
    cluster.check_rows(&plot, force.copies).await;
    cluster.check_projection(&plot).await;
    Figures {
        events: i64::try_from(plot.events.len()).unwrap(),
        counter: cluster.number("select n from public.storm_counter").await,
        sent: sending.attempts(),
        deaths,
        restarts,
        took: began.elapsed(),
        drained,
    }
}

fn from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// How hard `make test` lets it blow; `make storm` says more.
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
async fn each_event_is_applied_exactly_once_whoever_is_killed() {
    for round in 1..=from_env("MT_STORM_ROUNDS", 1) {
        let figures = blow(force(), Protocol::Fenced, round as u64).await;
        say(round, "effect and mark in one transaction", &figures);
        assert_eq!(figures.counter, figures.events, "round {round}: {figures}");
        assert!(figures.deaths.killed > 0, "nobody was killed: {figures}");
        let all: usize = figures.deaths.aborted.values().sum();
        assert!(all > figures.deaths.aborted.len(), "too few died at their step: {figures}");
    }
}

/// The control. It also shows why tenants are compared apart from the counter: what an event says is joined
/// and not added, so that to apply it twice does no harm there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_and_mark_in_two_transactions_apply_events_twice() {
    let force = Force { customers: 20, events: 150, restarts: 0, ..force() };
    let figures = blow(force, Protocol::Split, 1).await;
    say(1, "the control, in two transactions", &figures);
    assert!(figures.counter > figures.events, "the storm would not have noticed: {figures}");
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, counter, sent, deaths, restarts, took, drained } = self;
        write!(
            f,
            "{events} events, counter {counter}; {sent} deliveries sent, {} killed, aborted {:?}, {restarts} \
             restarts of Postgres; {:.1} s, of which {:.1} s to drain",
            deaths.killed,
            deaths.aborted,
            took.as_secs_f64(),
            drained.as_secs_f64(),
        )
    }
}

/// Not a test: what the storm's processes run. Without the variable that names a role it does nothing.
#[test]
#[ignore = "the storm starts it"]
fn process() {
    role::run();
}

/// Every moment at which a process may end itself.
const STEPS: [Step; 6] =
    [Step::Recorded, Step::Claimed, Step::Held, Step::Applied, Step::Marked, Step::Committed];
