//! Metrics of guards and of rate limits.

use mt_tower::observe::CheckOutcome;
use mt_tower::problem::Problem;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::check_latency;

/// Outcomes of guards, and how long they take. Clones count together.
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

impl GuardMetrics {
    /// Records the outcome of a check.
    pub fn record(&self, checked: &CheckOutcome<'_>) {
        let guard = checked.guard;
        let outcome = checked.problem.map_or("allowed", Problem::code);
        self.decisions.get_or_create(&DecisionLabels { guard, outcome }).inc();
        let took = checked.took.as_secs_f64();
        self.durations.get_or_create(&GuardLabels { guard }).observe(took);
    }
}

/// Decisions of rate limits. Clones count together.
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

    /// Records a decision of the limit called `limit`.
    pub fn record(&self, limit: &'static str, allowed: bool) {
        let outcome = if allowed { "allowed" } else { "refused" };
        self.decisions.get_or_create(&LimitLabels { limit, outcome }).inc();
    }
}
