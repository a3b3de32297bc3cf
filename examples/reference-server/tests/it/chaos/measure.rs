//! What the requests of a load say about a fault, and whether that is good enough.

use std::time::Duration;

use super::client::Failure;
use super::fault::{Fault, Outage};
use super::request::{Kind, Request};

/// How soon after the dependency's return every kind of request succeeds, and none fails any more.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The longest that any request waits for its answer, whatever happens.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A fault as clients saw it.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) requests: usize,
    /// How many requests were under way when the fault struck.
    pub(super) under_way: usize,
    /// How many were answered 503.
    pub(super) failed: usize,
    /// From the dependency's return until the first success of each kind that began after it; without the
    /// kinds that never succeeded.
    pub(super) back: Vec<(Kind, Duration)>,
    /// The same until the last request began that failed.
    pub(super) last_failure: Duration,
    pub(super) slowest: Duration,
    /// Answers that no client should see.
    unexpected: Vec<String>,
}

impl Measured {
    pub(super) fn of(requests: &[Request], outage: Outage, under_way: usize) -> Self {
        let after = |request: &&Request| request.began >= outage.ended;
        let back = Kind::ALL.into_iter().filter_map(|kind| {
            let first = requests
                .iter()
                .filter(after)
                .filter(|request| request.kind == kind && request.outcome.is_ok())
                .map(|request| request.ended)
                .min()?;
            Some((kind, first.duration_since(outage.ended)))
        });
        let failures = || requests.iter().filter(|request| request.outcome.is_err());
        let last_failure = failures().map(|request| request.began).max();
        let slowest = requests.iter().map(|request| request.ended.duration_since(request.began));
        Self {
            requests: requests.len(),
            under_way,
            failed: failures().count(),
            back: back.collect(),
            last_failure: last_failure
                .map_or(Duration::ZERO, |began| began.saturating_duration_since(outage.ended)),
            slowest: slowest.max().unwrap_or_default(),
            unexpected: failures()
                .filter(|request| request.outcome != Err(Failure::Unavailable))
                .map(|request| {
                    let since = request.ended.saturating_duration_since(outage.began);
                    format!("{:?} after {since:?}: {:?}", request.kind, request.outcome)
                })
                .collect(),
        }
    }

    /// How long service took to be back altogether.
    pub(super) fn recovery(&self) -> Duration {
        self.back.iter().map(|(_, back)| *back).chain([self.last_failure]).max().unwrap_or_default()
    }

    /// What is wrong with it.
    pub(super) fn objections(&self, fault: Fault) -> Vec<String> {
        let mut all = self.unexpected.clone();
        if self.back.len() < Kind::ALL.len() || self.recovery() > BACK_WITHIN {
            all.push(format!("service is not back within {BACK_WITHIN:?}"));
        }
        if self.slowest > ANSWERED_WITHIN {
            all.push(format!("a request took {:?}", self.slowest));
        }
        // Nothing was away but the connections: who is under way pays, and no one else.
        if fault == Fault::BackendsTerminated && self.failed > self.under_way {
            all.push(format!("{} failed and {} were under way", self.failed, self.under_way));
        }
        if !fault.is_of_the_database() && self.failed > 0 {
            all.push(format!("{} failed, which need no Redis", self.failed));
        }
        all
    }
}
