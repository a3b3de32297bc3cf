//! Metrics of requests: number, duration, outcome and org.

use std::borrow::Cow;
use std::time::Duration;

use mt_service::observe::{Answered, RequestObserver};
use mt_tower::load_access::RecentAccess;
use mt_tower::observe::TenantLabels;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use salvo::http::{Method, StatusCode};

use super::latency;
use crate::http::problems;
use crate::model::Product;

/// Metrics of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    in_flight: Gauge,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    problems: Family<ProblemLabels, Counter>,
    abandoned: Counter,
    by_org: Family<OrgLabels, Counter>,
    billing_refusals: Family<RefusalLabels, Counter>,
    orgs: TenantLabels,
}

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

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OrgLabels {
    org: Cow<'static, str>,
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefusalLabels {
    org: Cow<'static, str>,
    code: &'static str,
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry, orgs: TenantLabels) -> Self {
        let metrics = Self {
            in_flight: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(latency),
            problems: Family::default(),
            abandoned: Counter::default(),
            by_org: Family::default(),
            billing_refusals: Family::default(),
            orgs,
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
            "org_requests",
            "Requests of members, by org: the first that come have labels of their own",
            metrics.by_org.clone(),
        );
        registry.register(
            "billing_refusals",
            "Answers 402: an org that does not pay, or a plan's cap",
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
        // Only members have one, so a client cannot add labels by making up ids.
        let Some(RecentAccess(access)) = answered.extensions.get::<RecentAccess<Product>>() else {
            return;
        };
        let org = self.orgs.label(access.tenant());
        self.by_org.get_or_create(&OrgLabels { org: org.clone(), status }).inc();
        if let Some(code) = answered.problem
            && [problems::BILLING_REQUIRED.code, problems::CAP_REACHED.code].contains(&code)
        {
            self.billing_refusals.get_or_create(&RefusalLabels { org, code }).inc();
        }
    }

    fn gone(&self, _after: Duration) {
        self.in_flight.dec();
        self.abandoned.inc();
    }
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
