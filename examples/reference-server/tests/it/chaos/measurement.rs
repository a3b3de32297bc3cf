//! The measurement of one fault, and the limits that it must keep.

use std::time::Duration;

use super::client::Failure;
use super::fault::{Fault, Outage};
use super::request::{Kind, Request};

/// How soon after the dependency's return every kind of request succeeds, and none fails any more.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The longest that any request waits for its answer, whatever happens.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// The effect of a fault on clients.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    pub(super) requests: usize,
    /// The number of requests running when the fault was injected.
    pub(super) under_way: usize,
    /// The number of requests answered 503.
    pub(super) failed: usize,
    /// From the dependency's return until the first success of each kind that began after it; without the
    /// kinds that never succeeded.
    pub(super) back: Vec<(Kind, Duration)>,
    /// From the dependency's return until the start of the last failed request.
    pub(super) last_failure: Duration,
    pub(super) slowest: Duration,
    /// Answers that no client may get.
    unexpected: Vec<String>,
}

impl Measurement {
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

    /// The time until every kind of request succeeded again.
    pub(super) fn recovery(&self) -> Duration {
        self.back.iter().map(|(_, back)| *back).chain([self.last_failure]).max().unwrap_or_default()
    }

    /// The limits that were exceeded.
    pub(super) fn violations(&self, fault: Fault) -> Vec<String> {
        let mut all = self.unexpected.clone();
        if self.back.len() < Kind::ALL.len() || self.recovery() > BACK_WITHIN {
            all.push(format!("service is not back within {BACK_WITHIN:?}"));
        }
        if self.slowest > ANSWERED_WITHIN {
            all.push(format!("a request took {:?}", self.slowest));
        }
        // Only connections were lost: only running requests may fail.
        if fault == Fault::BackendsTerminated && self.failed > self.under_way {
            all.push(format!("{} failed and {} were under way", self.failed, self.under_way));
        }
        if !fault.is_of_the_database() && self.failed > 0 {
            all.push(format!("{} failed, which need no Redis", self.failed));
        }
        all
    }
}
