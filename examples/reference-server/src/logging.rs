//! The log, to stderr because stdout is for data, and traces for a collector where one is named.
//!
//! Both are told the same: the span of a request (`http/span.rs`) and what happens in it. Neither holds
//! tokens, bodies or whole addresses, because nobody says them there.

use std::io::{self, IsTerminal as _};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogConfig, LogFormat, TraceConfig};

/// Starts logging for the whole process, until what it returns is dropped.
///
/// Without a configured format it is for people on a terminal and JSON lines elsewhere. Not to be called
/// within a runtime: the exporter makes a thread of its own.
///
/// # Errors
///
/// [`LoggingError`], also when logging was started before.
pub fn init(config: &LogConfig, traces: &TraceConfig) -> Result<Logging, LoggingError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let provider = exporter(traces)?;
    let traces = provider.as_ref().map(|provider| {
        let tracer = opentelemetry::trace::TracerProvider::tracer(provider, "mt-server");
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
        // Escape codes in a pipe or a file help nobody.
        LogFormat::Pretty => {
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed()
        }
        // Not tracing-subscriber's own: it reads back what it has written of a span whenever it writes more.
        LogFormat::Json => json_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

#[cfg(feature = "otlp")]
fn exporter(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, LoggingError> {
    crate::traces::provider(config).map_err(LoggingError::Exporter)
}

#[cfg(not(feature = "otlp"))]
fn exporter(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, LoggingError> {
    match config.endpoint() {
        None => Ok(None),
        Some(_) => Err(LoggingError::Exporter("built without the feature `otlp`".into())),
    }
}

/// The log, while it runs. Dropped, it sends the spans that are left.
#[derive(Debug)]
#[must_use = "what was not exported yet is when this is dropped"]
pub struct Logging {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // A collector that is away must not keep the process: they are gone then.
            let _ = provider.shutdown_with_timeout(std::time::Duration::from_secs(2));
        }
    }
}

/// Why the log did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Traces cannot be sent where they should be.
    #[error("traces cannot be exported as the variables of OpenTelemetry (`OTEL_…`) say")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `RUST_LOG` is not a filter.
    #[error("`RUST_LOG` is not a list of directives")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else started it first.
    #[error("the log was started before")]
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}
