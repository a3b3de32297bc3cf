//! The sampling of traces: the settings decide, and a caller's decision counts only if the caller is trusted.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

use super::span::TrustedParent;

/// The sampler of the settings.
///
/// The samplers of OpenTelemetry follow the parent of a span or the trace id. Both are in `traceparent`, which any
/// client can send, so a client could have all of its requests exported, or none.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    parent_based: bool,
    own: Sampler,
}

impl Sampling {
    pub(super) fn new(config: super::Sampler) -> Self {
        let own = Sampler::TraceIdRatioBased(config.ratio);
        Self { parent_based: config.parent_based, own }
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let own =
            |trace_id| self.own.should_sample(parent, trace_id, name, kind, attributes, links);
        let Some(context) = parent.filter(|context| context.has_active_span()) else {
            return own(trace_id);
        };
        let span = context.span();
        let parent = span.span_context();
        let is_trusted = context.get::<TrustedParent>().is_some();
        let follows = !parent.is_remote() || (is_trusted && self.parent_based);
        if follows {
            let decision = match parent.is_sampled() {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            };
            let trace_state = parent.trace_state().clone();
            return SamplingResult { decision, attributes: Vec::new(), trace_state };
        }
        // An untrusted caller has chosen the trace id, so the share is taken of a random one.
        own(if is_trusted { trace_id } else { RandomIdGenerator::default().new_trace_id() })
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    /// Returns how many of 1000 requests with this parent are exported.
    fn exported(sampling: &Sampling, parent: &Context, trace: TraceId) -> usize {
        let samples = |_: &usize| {
            let result =
                sampling.should_sample(Some(parent), trace, "", &SpanKind::Server, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        (0..1000).filter(samples).count()
    }

    fn parent(trace: TraceId, is_sampled: bool, is_remote: bool) -> Context {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let span =
            SpanContext::new(trace, SpanId::from(1), flags, is_remote, TraceState::default());
        Context::new().with_remote_span_context(span)
    }

    fn sampling(parent_based: bool, ratio: f64) -> Sampling {
        Sampling { parent_based, own: Sampler::TraceIdRatioBased(ratio) }
    }

    #[test]
    fn an_untrusted_parent_decides_nothing() {
        // The share is taken of the lower half of a trace id: the first is in every share, the last in none.
        for trace in [TraceId::from(1_u128), TraceId::from(u128::MAX)] {
            for is_sampled in [true, false] {
                let stranger = parent(trace, is_sampled, true);
                for parent_based in [true, false] {
                    let of = |ratio| exported(&sampling(parent_based, ratio), &stranger, trace);
                    assert_eq!((of(1.0), of(0.0)), (1000, 0));
                    let half = of(0.5);
                    assert!((350..=650).contains(&half), "{half}");
                }
                // The control: flag and trace id of a trusted peer do decide.
                let trusted = stranger.with_value(TrustedParent);
                let follows = if is_sampled { 1000 } else { 0 };
                assert_eq!(exported(&sampling(true, 0.5), &trusted, trace), follows);
                let of_its_id = if trace == TraceId::from(1_u128) { 1000 } else { 0 };
                assert_eq!(exported(&sampling(false, 0.5), &trusted, trace), of_its_id);
            }
        }
    }

    #[test]
    fn spans_of_this_process_follow_their_parent() {
        let trace = TraceId::from(u128::MAX);
        for parent_based in [true, false] {
            for ratio in [0.0, 0.5, 1.0] {
                let sampling = sampling(parent_based, ratio);
                assert_eq!(exported(&sampling, &parent(trace, true, false), trace), 1000);
                assert_eq!(exported(&sampling, &parent(trace, false, false), trace), 0);
            }
        }
    }
}
