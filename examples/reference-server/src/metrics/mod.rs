//! The metrics that Prometheus reads at `/metrics`.
//!
//! | module | measures |
//! | --- | --- |
//! | `requests` | requests by route and status, problems by code, orgs |
//! | `guards` | outcomes of guards and rate limits, and how long they take |
//! | `scraped` | values that are read with the page: pool, limiter, ledger, outbox |
//!
//! Nothing is global: a [`Metrics`] is a value of one server. Labels are words of the program, with one
//! exception: some orgs have a label of their own, and then only where `METRICS_ADDR` keeps the page from
//! everybody. `ops/` has a dashboard and alerts on these names; a test compares them.

mod guards;
mod requests;
mod scraped;

use std::fmt;
use std::sync::Arc;

use mt_tower::observe::TenantLabels;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use self::guards::{GuardMetrics, LimitMetrics};
pub use self::requests::RequestMetrics;
pub use self::scraped::Sources;
use self::scraped::{Backlogs, Scraped};

/// The content type of [`Metrics::render`].
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The number of orgs that have a label of their own.
const NAMED_ORGS: usize = 50;

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    backlogs: Arc<Backlogs>,
    /// The metrics of requests.
    pub requests: Arc<RequestMetrics>,
    /// The metrics of guards.
    pub guards: GuardMetrics,
    /// The metrics of limiters.
    pub limits: LimitMetrics,
}

impl Metrics {
    /// Nothing measured yet, of a server that stands on `sources`. Orgs are told apart where the page is
    /// `private`.
    #[must_use]
    pub fn new(sources: Sources, private: bool) -> Self {
        let mut registry = Registry::with_prefix("mt");
        let orgs = TenantLabels::at_most(if private { NAMED_ORGS } else { 0 });
        let requests = Arc::new(RequestMetrics::register(&mut registry, orgs));
        let guards = GuardMetrics::register(&mut registry);
        let limits = LimitMetrics::register(&mut registry);
        let build = Family::<[(&str, &str); 1], ConstGauge<u64>, _>::new_with_constructor(one);
        drop(build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("build_info", "The version that runs", build);
        let backlogs = Arc::new(Backlogs::new(sources.ledger.clone()));
        registry.register_collector(Box::new(Scraped::new(sources, Arc::clone(&backlogs))));
        Self { registry, backlogs, requests, guards, limits }
    }

    /// The page, in Prometheus' text format. Asks the database about ledger and outbox, every few seconds at most
    /// and within a bounded time.
    pub async fn render(&self) -> String {
        self.backlogs.refresh().await;
        let mut page = String::new();
        prometheus_text::encode(&mut page, &self.registry).expect("writing to a string");
        page
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn one() -> ConstGauge<u64> {
    ConstGauge::new(1)
}

/// Buckets for requests, from a millisecond to ten seconds.
fn latency() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Buckets for checks, which rarely wait.
fn check_latency() -> Histogram {
    Histogram::new([0.00001, 0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5])
}
