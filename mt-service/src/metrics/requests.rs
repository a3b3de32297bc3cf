//! Metrics of requests: number, duration, outcome and tenant.

use std::borrow::Cow;
use std::time::Duration;

use http::{Extensions, Method, StatusCode};
use mt_core::access::AccessModel;
use mt_core::id::TenantId;
use mt_tower::load_access::RecentAccess;
use mt_tower::observe::TenantLabels;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::latency;
use crate::observe::{Answered, RequestObserver};

/// The codes of answers 402.
const BILLING: [&str; 2] = ["billing-required", "cap-reached"];

/// Metrics of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    in_flight: Gauge,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    problems: Family<ProblemLabels, Counter>,
    abandoned: Counter,
    by_tenant: Family<TenantLabelPairs, Counter>,
    billing_refusals: Family<TenantLabelPairs, Counter>,
    noun: &'static str,
    tenants: TenantLabels,
    tenant: fn(&Extensions) -> Option<TenantId>,
}

/// A tenant's label, and another one.
type TenantLabelPairs = [(&'static str, Cow<'static, str>); 2];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ProblemLabels {
    code: &'static str,
}

impl RequestMetrics {
    pub(super) fn register<M: AccessModel>(
        registry: &mut Registry,
        noun: &'static str,
        tenants: TenantLabels,
    ) -> Self {
        let metrics = Self {
            in_flight: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(latency),
            problems: Family::default(),
            abandoned: Counter::default(),
            by_tenant: Family::default(),
            billing_refusals: Family::default(),
            noun,
            tenants,
            // Only members have one, so a client cannot add labels by making up ids.
            tenant: |extensions| {
                let access = extensions.get::<RecentAccess<M>>();
                access.map(|RecentAccess(access)| access.tenant())
            },
        };
        let Self { in_flight, requests, durations, problems, .. } = &metrics;
        registry.register(
            "http_requests_in_flight",
            "Requests that are being worked on",
            in_flight.clone(),
        );
        registry.register(
            "http_requests",
            "Requests that were answered, by the route's template",
            requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "From the head of a request to its answer",
            durations.clone(),
        );
        registry.register("http_problems", "Answers that were problems", problems.clone());
        registry.register(
            "http_requests_abandoned",
            "Requests whose client was gone before the answer",
            metrics.abandoned.clone(),
        );
        registry.register(
            format!("{noun}_requests"),
            format!("Requests of members, by {noun}: the first that come have labels of their own"),
            metrics.by_tenant.clone(),
        );
        registry.register(
            "billing_refusals",
            format!("Answers 402: {} {noun} that does not pay, or a plan's cap", article(noun)),
            metrics.billing_refusals.clone(),
        );
        metrics
    }
}

impl RequestObserver for RequestMetrics {
    fn begun(&self) {
        self.in_flight.inc();
    }

    fn answered(&self, answered: &Answered<'_>) {
        self.in_flight.dec();
        let method = method(answered.method);
        let route = answered.route.map_or("none".to_owned(), with_slash);
        let status = class(answered.status);
        let took = answered.took.as_secs_f64();
        let of_route = RouteLabels { method, route: route.clone() };
        self.durations.get_or_create(&of_route).observe(took);
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        if let Some(code) = answered.problem {
            self.problems.get_or_create(&ProblemLabels { code }).inc();
        }
        let Some(tenant) = (self.tenant)(answered.extensions) else { return };
        let tenant = (self.noun, self.tenants.label(tenant));
        let labels = [tenant.clone(), ("status", status.into())];
        self.by_tenant.get_or_create(&labels).inc();
        if let Some(code) = answered.problem.filter(|code| BILLING.contains(code)) {
            self.billing_refusals.get_or_create(&[tenant, ("code", code.into())]).inc();
        }
    }

    fn gone(&self, _after: Duration) {
        self.in_flight.dec();
        self.abandoned.inc();
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn with_slash(route: &str) -> String {
    format!("/{}", route.trim_start_matches('/'))
}

/// Maps unknown methods to one label, because a client may send any text.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
