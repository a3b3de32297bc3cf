//! What guards decide.

use mt_tower::observe::{Decision, Observer};
use mt_tower::problem::Problem;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::check_latency;

/// Decisions of guards, and how long they take. Clones count together.
#[derive(Clone, Debug)]
pub struct GuardMetrics {
    decisions: Family<DecisionLabels, Counter>,
    durations: Family<GuardLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DecisionLabels {
    guard: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct GuardLabels {
    guard: &'static str,
}

impl GuardMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (decisions, durations) =
            (Family::default(), Family::new_with_constructor(check_latency as fn() -> Histogram));
        let metrics = Self { decisions, durations };
        registry.register(
            "guard_decisions",
            "What guards have decided: allowed, or the code of the problem",
            metrics.decisions.clone(),
        );
        registry.register(
            "guard_duration_seconds",
            "How long guards have taken to decide",
            metrics.durations.clone(),
        );
        metrics
    }
}

impl Observer for GuardMetrics {
    fn decided(&self, decision: &Decision<'_>) {
        let guard = decision.guard;
        let outcome = decision.problem.map_or("allowed", Problem::code);
        self.decisions.get_or_create(&DecisionLabels { guard, outcome }).inc();
        let took = decision.took.as_secs_f64();
        self.durations.get_or_create(&GuardLabels { guard }).observe(took);
    }
}

/// What limiters have said. Clones count together.
#[derive(Clone, Debug)]
pub struct LimitMetrics {
    decisions: Family<LimitLabels, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LimitLabels {
    limit: &'static str,
    outcome: &'static str,
}

impl LimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { decisions: Family::default() };
        registry.register(
            "limiter_decisions",
            "Requests by what a rate limit has said of them; a limit that is off says nothing",
            metrics.decisions.clone(),
        );
        metrics
    }

    /// One decision of the limit called `limit`.
    pub(crate) fn decided(&self, limit: &'static str, allowed: bool) {
        let outcome = if allowed { "allowed" } else { "refused" };
        self.decisions.get_or_create(&LimitLabels { limit, outcome }).inc();
    }
}

impl Observer for LimitMetrics {
    fn decided(&self, decision: &Decision<'_>) {
        self.decided(decision.guard, decision.problem.is_none());
    }
}
