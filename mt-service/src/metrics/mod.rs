//! The metrics that Prometheus reads at `/metrics`.
//!
//! | module | measures |
//! | --- | --- |
//! | `requests` | requests by route and status, problems by code, tenants |
//! | `guards` | outcomes of guards and rate limits, and how long they take |
//! | `scraped` | values that are read with the page: pool, limiter, ledger, outbox, jobs |
//!
//! Nothing is global: a [`Metrics`] is a value of one server. Labels are words of the program, with one
//! exception: some tenants have a label of their own, for a page that only operators can read. The names begin with
//! `mt_`; `ops/` has a dashboard and alerts on them.

mod guards;
mod requests;
mod scraped;

use std::fmt;
use std::sync::Arc;

use mt_core::access::AccessModel;
use mt_core::pg::ledger::Provider;
use mt_tower::observe::TenantLabels;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use self::guards::{GuardMetrics, LimitMetrics};
pub use self::requests::RequestMetrics;
use self::scraped::{Backlogs, Scraped};
pub use self::scraped::{LimiterFailures, Sources};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What metrics say about the service.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOptions {
    /// What a tenant is called in names, labels and help texts, such as `org`: a word in lower case.
    pub tenant: &'static str,
    /// The version of the service, such as `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The number of tenants that have a label of their own. 0 where others than operators can read the page.
    pub named_tenants: usize,
}

/// The metrics of a server whose ledger has events of `P`.
pub struct Metrics<P> {
    registry: Registry,
    backlogs: Arc<Backlogs<P>>,
    /// The metrics of requests.
    pub requests: Arc<RequestMetrics>,
    /// The metrics of guards.
    pub guards: GuardMetrics,
    /// The metrics of limiters.
    pub limits: LimitMetrics,
}

impl<P: Provider> Metrics<P> {
    /// Nothing measured yet, of a server that stands on `sources` and whose access model is `M`.
    #[must_use]
    pub fn new<M: AccessModel>(sources: Sources<P>, options: MetricsOptions) -> Self {
        let mut registry = Registry::with_prefix("mt");
        let tenants = TenantLabels::at_most(options.named_tenants);
        let requests = RequestMetrics::register::<M>(&mut registry, options.tenant, tenants);
        let requests = Arc::new(requests);
        let guards = GuardMetrics::register(&mut registry);
        let limits = LimitMetrics::register(&mut registry);
        let build = Family::<[(&str, &str); 1], ConstGauge<u64>, _>::new_with_constructor(one);
        drop(build.get_or_create(&[("version", options.version)]));
        registry.register("build_info", "The version that runs", build);
        let backlogs = Arc::new(Backlogs::new(sources.ledger.clone()));
        registry.register_collector(Box::new(Scraped::new(
            sources,
            options.tenant,
            Arc::clone(&backlogs),
        )));
        Self { registry, backlogs, requests, guards, limits }
    }

    /// The page, in Prometheus' text format. Asks the database about ledger, outbox and jobs, every few seconds at
    /// most and within a bounded time.
    pub async fn render(&self) -> String {
        self.backlogs.refresh().await;
        let mut page = String::new();
        prometheus_text::encode(&mut page, &self.registry).expect("writing to a string");
        page
    }
}

impl<P> fmt::Debug for Metrics<P> {
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
