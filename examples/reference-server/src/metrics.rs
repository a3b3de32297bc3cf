//! The metrics that Prometheus reads at `/metrics`.

use mt_service::metrics::{LimiterFailures, MetricsOptions, Sources};
use mt_stripe::Stripe;

use crate::limits::Limiter;
use crate::model::Product;

/// The metrics of the server.
pub type Metrics = mt_service::metrics::Metrics<Stripe>;

/// The number of orgs that have a label of their own, where `METRICS_ADDR` keeps the page from everybody.
const NAMED_ORGS: usize = 50;

/// Returns how often Redis has failed `limiter`.
#[must_use]
pub fn failures(limiter: &Limiter) -> LimiterFailures {
    match limiter {
        Limiter::Redis(limiter) => LimiterFailures {
            calls: limiter.store_failures(),
            fallbacks: limiter.decided_without_store(),
        },
        Limiter::InProcess(_) => LimiterFailures::default(),
    }
}

/// Nothing measured yet, of a server that stands on `sources`. Orgs are told apart where the page is `private`.
#[must_use]
pub fn metrics(sources: Sources<Stripe>, private: bool) -> Metrics {
    let options = MetricsOptions {
        tenant: "org",
        version: env!("CARGO_PKG_VERSION"),
        named_tenants: if private { NAMED_ORGS } else { 0 },
    };
    Metrics::new::<Product>(sources, options)
}
