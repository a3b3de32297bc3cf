//! The span of a request, with the fields of every line of the log about it.
//!
//! | field | |
//! | --- | --- |
//! | `request_id` | also in the answer |
//! | `trace_id`, `span_id` | the request's place in a trace: the caller's by `traceparent` (W3C Trace Context), or its own |
//! | `method`, `path` | without the query, which is where tokens end up by mistake |
//! | `principal.id`, `tenant.id` | once they are known to exist |
//! | `route`, `status`, `problem.code` | with the answer |
//!
//! With an exporter ([`init`](super::init)) the ids are those of the exported span.
//!
//! Any client can send `traceparent`. Of a peer that is not a trusted proxy the ids count, so that its logs and
//! these can be put together; its sampling flag and its `tracestate` do not, and which of its requests are exported
//! is decided without it.

use std::net::IpAddr;
use std::sync::LazyLock;

use http::{HeaderMap, Method};
use ipnet::IpNet;
use mt_tower::request_id::RequestId;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::observe::Answered;

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// Marks the context of a parent whose sampling flag counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrustedParent;

/// Returns the span of a request, in the caller's trace if it names one. `proxies` are the networks of trusted peers.
#[must_use]
pub fn request_span(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    id: &RequestId,
    proxies: &[IpNet],
) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = Empty,
        request_id = %id,
        trace_id = Empty,
        span_id = Empty,
        method = %method,
        path,
        principal.id = Empty,
        tenant.id = Empty,
        route = Empty,
        status = Empty,
        problem.code = Empty,
    );
    if !span.is_disabled() {
        place(&span, &parent_of(headers, peer, proxies));
    }
    span
}

/// Records the answer in the span of its request.
pub fn record_answer(span: &Span, answered: &Answered<'_>) {
    let name = answered.route.map(|route| format!("{} {route}", answered.method));
    tracing::record_all!(
        span,
        status = answered.status.as_u16(),
        route = answered.route,
        otel.name = name,
        problem.code = answered.problem,
    );
}

/// The caller's place in its trace, as far as the caller is trusted.
fn parent_of(headers: &HeaderMap, peer: Option<IpAddr>, proxies: &[IpNet]) -> Context {
    let said = PROPAGATOR.extract(&Headers(headers));
    let peer = peer.map(|address| address.to_canonical());
    if peer.is_some_and(|peer| proxies.iter().any(|network| network.contains(&peer))) {
        return said.with_value(TrustedParent);
    }
    let span = said.span().span_context().clone();
    let (trace, parent, flags) = (span.trace_id(), span.span_id(), TraceFlags::default());
    let ids = SpanContext::new(trace, parent, flags, true, TraceState::default());
    if ids.is_valid() { Context::new().with_remote_span_context(ids) } else { Context::new() }
}

fn place(span: &Span, parent: &Context) {
    // Without an exporter there is no span to be the child of, and the ids are made here.
    let _ = span.set_parent(parent.clone());
    let exported = span.context();
    let exported = exported.span().span_context().clone();
    let (trace, own) = if exported.is_valid() && exported != *parent.span().span_context() {
        (exported.trace_id(), exported.span_id())
    } else {
        let ids = RandomIdGenerator::default();
        let remote = parent.span().span_context().clone();
        let trace = if remote.is_valid() { remote.trace_id() } else { ids.new_trace_id() };
        (trace, ids.new_span_id())
    };
    // Together, for each time that something is written down the log's form of the span is made anew.
    tracing::record_all!(span, trace_id = %trace, span_id = %own);
}

/// A header that was sent twice says nothing.
struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.get_all(key).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
