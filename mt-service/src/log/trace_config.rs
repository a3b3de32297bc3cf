//! The settings of trace export: the variables of OpenTelemetry that the server supports.
//!
//! They have the meaning of the specifications of the [exporter] and the [SDK][sdk]. The export library reads
//! variables of the process itself, but not those of `.env`, so the server reads them all and passes them on.
//!
//! [exporter]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
//! [sdk]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::settings::transport::leads_away;
use crate::settings::{Reader, Secret, Setting, values};

/// The timeout of an export request, in milliseconds.
const TIMEOUT: u32 = 10_000;
/// The maximum of settings in milliseconds: an hour.
const MOST_MILLISECONDS: u32 = 3_600_000;
const PROTOCOL: &str = "http/protobuf";

/// The destination, format and sampling of traces. Without an endpoint nothing is exported.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// `OTEL_SDK_DISABLED`: nothing is exported.
    pub disabled: bool,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector's base URL.
    pub base: Option<Url>,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: the URL for trace requests.
    pub traces: Option<Url>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Option<Secret>,
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, which overrides it.
    pub traces_headers: Option<Secret>,
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, otherwise `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME`, otherwise `service.name` in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: String,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: Sampler,
    /// `OTEL_BSP_SCHEDULE_DELAY`: the delay between two exports.
    pub delay: Duration,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`: the maximum number of queued spans; more are dropped.
    pub queue: u32,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: the maximum number of spans in a request.
    pub batch: u32,
    program: &'static str,
}

/// The sampling of traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether the decision of the caller takes precedence.
    pub parent_based: bool,
    /// The share of traces, from 0 to 1.
    pub ratio: f64,
    name: &'static str,
}

/// The samplers: name, whether the parent decides, and the share; `None`: the argument.
const SAMPLERS: [(&str, bool, Option<f64>); 6] = [
    ("always_on", false, Some(1.0)),
    ("always_off", false, Some(0.0)),
    ("traceidratio", false, None),
    ("parentbased_always_on", true, Some(1.0)),
    ("parentbased_always_off", true, Some(0.0)),
    ("parentbased_traceidratio", true, None),
];

impl TraceConfig {
    /// Reads the variables. `program` is the default name of the service.
    #[must_use]
    pub fn read(r: &mut Reader<'_>, program: &'static str) -> Self {
        let flag = |value: &str| value.to_ascii_lowercase().parse().ok();
        let url = "an http or https URL without user";
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            let only = format!("`{PROTOCOL}`, and the server speaks no other");
            r.optional(name, &only, |value| (value == PROTOCOL).then_some(()));
        }
        let of_all = r.number("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT, 1..=MOST_MILLISECONDS);
        let of_traces =
            r.number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", of_all, 1..=MOST_MILLISECONDS);
        let headers = "`name=value` with percent-encoded values, separated by commas";
        let are_headers = |value: &str| header_list(value).is_some();
        let attributes = r.optional("OTEL_RESOURCE_ATTRIBUTES", headers, pairs).unwrap_or_default();
        let own_name = attributes.iter().find(|(name, _)| name == "service.name");
        let own_name = own_name.map_or(program, |(_, value)| value).to_owned();
        let delay = r.number("OTEL_BSP_SCHEDULE_DELAY", 5000, 1..=MOST_MILLISECONDS);
        Self {
            disabled: r.optional("OTEL_SDK_DISABLED", "`true` or `false`", flag).unwrap_or(false),
            base: r.optional(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("{url} or query"),
                values::plain_url,
            ),
            traces: r.optional("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url, |value| {
                let url = Url::parse(value).ok()?;
                let mut plain = url.clone();
                plain.set_query(None);
                values::plain_url(plain.as_str()).map(|_| url)
            }),
            headers: r.secret("OTEL_EXPORTER_OTLP_HEADERS", headers, are_headers),
            traces_headers: r.secret("OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers, are_headers),
            timeout: Duration::from_millis(of_traces.into()),
            service_name: r.text("OTEL_SERVICE_NAME").unwrap_or(own_name),
            attributes,
            sampler: sampler(r),
            delay: Duration::from_millis(delay.into()),
            queue: r.count("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1_000_000).get(),
            batch: r.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1_000_000).get(),
            program,
        }
    }

    /// Returns the name of the program, under which it makes spans.
    pub(super) const fn program(&self) -> &'static str {
        self.program
    }

    /// Returns the URL for trace requests: the URL for traces as it is, otherwise `v1/traces` below the base URL.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        if self.disabled {
            return None;
        }
        let below = |base: &Url| format!("{}/v1/traces", base.as_str().trim_end_matches('/'));
        self.traces.as_ref().map(ToString::to_string).or_else(|| self.base.as_ref().map(below))
    }

    /// Returns the headers of each export request.
    #[must_use]
    pub fn header_list(&self) -> Vec<(String, String)> {
        let list = self.traces_headers.as_ref().or(self.headers.as_ref());
        list.and_then(|list| header_list(list.reveal())).unwrap_or_default()
    }

    /// Returns the risk of sending the headers over the network, if there is one.
    #[must_use]
    pub fn transport_risk(&self) -> Option<String> {
        let collector = self.endpoint().and_then(|url| Url::parse(&url).ok());
        let is_exposed = collector.is_some_and(|url| url.scheme() == "http" && leads_away(&url))
            && !self.header_list().is_empty();
        is_exposed.then(|| {
            "OTEL_EXPORTER_OTLP_HEADERS go to another host without TLS: use an https endpoint"
                .to_owned()
        })
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 16] {
        let Self {
            disabled,
            base,
            traces,
            headers,
            traces_headers,
            timeout,
            service_name,
            attributes,
            sampler,
            delay,
            queue,
            batch,
            program: _,
        } = self;
        // The query may hold a key.
        let traces = traces.clone().map(|mut url| {
            url.set_query(None);
            url
        });
        let attributes = attributes.iter().map(|(name, value)| format!("{name}={value}"));
        [
            Setting::new("OTEL_SDK_DISABLED", disabled),
            Setting::optional("OTEL_EXPORTER_OTLP_ENDPOINT", base.as_ref()),
            Setting::optional("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces),
            Setting::secret("OTEL_EXPORTER_OTLP_HEADERS", headers.as_ref()),
            Setting::secret("OTEL_EXPORTER_OTLP_TRACES_HEADERS", traces_headers.as_ref()),
            Setting::new("OTEL_EXPORTER_OTLP_TIMEOUT", timeout.as_millis()),
            Setting::new("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout.as_millis()),
            Setting::new("OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOL),
            Setting::new("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", PROTOCOL),
            Setting::new("OTEL_SERVICE_NAME", service_name),
            Setting::list("OTEL_RESOURCE_ATTRIBUTES", attributes),
            Setting::new("OTEL_TRACES_SAMPLER", sampler.name),
            Setting::new("OTEL_TRACES_SAMPLER_ARG", sampler.ratio),
            Setting::new("OTEL_BSP_SCHEDULE_DELAY", delay.as_millis()),
            Setting::new("OTEL_BSP_MAX_QUEUE_SIZE", queue),
            Setting::new("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch),
        ]
    }
}

fn sampler(r: &mut Reader<'_>) -> Sampler {
    let ratio = r.optional("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", |value| {
        value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
    });
    let names = SAMPLERS.map(|(name, ..)| format!("`{name}`")).join(", ");
    let known = |value: &str| SAMPLERS.into_iter().find(|(name, ..)| *name == value);
    let found = r.optional("OTEL_TRACES_SAMPLER", &format!("one of {names}"), known);
    let (name, parent_based, share) = found.unwrap_or(SAMPLERS[3]);
    Sampler { parent_based, ratio: share.or(ratio).unwrap_or(1.0), name }
}

/// Parses `name=value` pairs separated by commas, with percent-encoded values, as in W3C Baggage. Empty members are
/// ignored.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let pair = |member: &str| {
        let (name, value) = member.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    members.map(pair).collect()
}

fn header_list(text: &str) -> Option<Vec<(String, String)>> {
    let is_header = |(name, value): &(String, String)| {
        HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
    };
    pairs(text).filter(|pairs| pairs.iter().all(is_header))
}
