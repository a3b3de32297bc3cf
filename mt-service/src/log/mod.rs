//! Logging to stderr, because stdout is for data, and export of traces to a collector if one is configured.
//!
//! Both contain the span of a request ([`request_span`]) and its events. Neither contains tokens, bodies or whole
//! addresses, because no event of the library has them as fields.
//!
//! ```no_run
//! use mt_service::log::{LogConfig, TraceConfig, init};
//! use mt_service::settings::{ConfigErrors, Reader};
//!
//! fn read(r: &mut Reader<'_>) -> (LogConfig, TraceConfig) {
//!     (LogConfig::read(r), TraceConfig::read(r, "notebook"))
//! }
//!
//! # fn run(vars: impl Fn(&str) -> Option<String>) -> Result<(), Box<dyn std::error::Error>> {
//! let mut r = Reader::new(vars);
//! let settings = read(&mut r);
//! let (log, traces) = r.finish(settings)?;
//! let _logging = init(&log, &traces)?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "otlp")]
mod export;
mod log_config;
#[cfg(feature = "otlp")]
mod sampling;
mod span;
mod trace_config;

use std::error::Error;
use std::io::{self, IsTerminal as _};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

pub use self::log_config::{LogConfig, LogFormat};
pub use self::span::{record_answer, request_span};
pub use self::trace_config::{Sampler, TraceConfig};
use crate::settings::Reader;

/// Starts logging with the settings of the environment: `RUST_LOG`, `LOG_FORMAT`, and for traces `OTEL_…`
/// ([`TraceConfig`]). `program` is the name of the service in traces.
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let _log = mt_service::log::init_from_env("shop")?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// Where a variable is not valid, and as [`init`].
pub fn init_from_env(program: &'static str) -> Result<Logging, Box<dyn Error + Send + Sync>> {
    let mut r = Reader::new(|name: &str| std::env::var(name).ok());
    let settings = (LogConfig::read(&mut r), TraceConfig::read(&mut r, program));
    let (log, traces) = r.finish(settings)?;
    Ok(init(&log, &traces)?)
}

/// Starts logging for the whole process, until the returned value is dropped.
///
/// The default format is text on a terminal and JSON lines elsewhere. Do not call it within a runtime, because the
/// exporter starts a thread of its own.
///
/// # Errors
///
/// [`LoggingError`] when a setting is invalid or logging was started before.
pub fn init(config: &LogConfig, traces: &TraceConfig) -> Result<Logging, LoggingError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let provider = exporter(traces)?;
    let program = traces.program();
    let traces = provider.as_ref().map(|provider| {
        let tracer = opentelemetry::trace::TracerProvider::tracer(provider, program);
        tracing_opentelemetry::layer().with_tracer(tracer)
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines(config))
        .with(traces)
        .try_init()
        .map_err(|error| LoggingError::Started(error.into()))?;
    Ok(Logging { provider })
}

fn lines<S>(config: &LogConfig) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let is_terminal = io::stderr().is_terminal();
    let format = config.format.unwrap_or(match is_terminal {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    });
    match format {
        // Escape codes are for terminals only.
        LogFormat::Pretty => {
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed()
        }
        // Not the JSON formatter of tracing-subscriber, which parses the fields of a span again whenever it records
        // more.
        LogFormat::Json => json_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

#[cfg(feature = "otlp")]
fn exporter(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, LoggingError> {
    export::provider(config).map_err(LoggingError::Exporter)
}

#[cfg(not(feature = "otlp"))]
fn exporter(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, LoggingError> {
    match config.endpoint() {
        None => Ok(None),
        Some(_) => Err(LoggingError::Exporter("built without the feature `otlp`".into())),
    }
}

/// The running log. Dropping it exports the remaining spans.
#[derive(Debug)]
#[must_use = "what was not exported yet is when this is dropped"]
pub struct Logging {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // A collector that is down must not delay the exit; the spans are lost then.
            let _ = provider.shutdown_with_timeout(std::time::Duration::from_secs(2));
        }
    }
}

/// The error when logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The settings of trace export are invalid.
    #[error("the settings of OpenTelemetry (`OTEL_…`) cannot be used")]
    Exporter(#[source] Box<dyn Error + Send + Sync>),
    /// `RUST_LOG` is not a filter.
    #[error("`RUST_LOG` is not a list of directives")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was started before.
    #[error("logging was started before")]
    Started(#[source] Box<dyn Error + Send + Sync>),
}
