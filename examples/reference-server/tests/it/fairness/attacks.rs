//! The attacks: what a user, an org or an anonymous client does to overload the server.

mod large_tables;
mod requests;
mod slow_clients;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::setup::{Person, Setup};

/// In a setting: the address of a server that takes connections and never answers.
pub(super) const SILENT: &str = "SILENT";

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind of attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// The settings that it needs.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// Whether a short run includes it.
    pub(super) is_short: bool,
    /// How to disable the guard, so that the test fails.
    pub(super) without: Without,
    /// Who must still be served.
    pub(super) beside: Victim,
    /// Prepares the attack and returns it as a future that runs until it is dropped.
    pub(super) start: fn(AttackRun) -> Running,
}

/// How a guard is disabled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Without {
    /// By settings of the server.
    Settings(&'static [(&'static str, &'static str)]),
    /// By a change to the schema.
    Sql(&'static str),
    /// By both.
    Both(&'static [(&'static str, &'static str)], &'static str),
    /// It cannot be disabled here: other tests do that.
    Elsewhere,
}

/// Who must be served during the attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Victim {
    /// The members of another org.
    AnotherOrg,
    /// The owner of the org of the attacking member.
    TheSameOrg,
}

/// Returns all attacks.
pub(super) fn all() -> Vec<Attack> {
    [requests::all(), slow_clients::all(), large_tables::all()].into_iter().flatten().collect()
}

/// One run of an attack.
#[derive(Clone)]
pub(super) struct AttackRun {
    pub(super) setup: Arc<Setup>,
    /// The attacker: in an own org, or as a member of the measured org.
    pub(super) by: Person,
    begun: Arc<Notify>,
    over: watch::Receiver<bool>,
}

impl AttackRun {
    pub(super) fn new(setup: &Arc<Setup>, by: Person, over: watch::Receiver<bool>) -> Self {
        Self { setup: Arc::clone(setup), by, begun: Arc::default(), over }
    }

    /// Notified once everything is prepared and the first requests are running.
    pub(super) fn begun(&self) -> Arc<Notify> {
        Arc::clone(&self.begun)
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    async fn until_over(&self) {
        let mut over = self.over.clone();
        let _ = over.wait_for(|over| *over).await;
    }

    /// Has `clients` send one request after the other, with `pause` between two, until it is over. `request` gets
    /// the number of the client and of the round.
    async fn flood<F>(&self, clients: usize, pause: Duration, request: fn(Self, usize, usize) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = JoinSet::new();
        for client in 0..clients {
            let run = self.clone();
            running.spawn(async move {
                let mut round = 0;
                while !run.is_over() {
                    request(run.clone(), client, round).await;
                    round += 1;
                    tokio::time::sleep(pause).await;
                }
            });
        }
        self.begun.notify_one();
        self.until_over().await;
        running.shutdown().await;
    }
}
