//! Exports spans to a collector by OTLP over HTTP.
//!
//! A thread of its own sends them in batches. When the collector does not accept them, spans are lost and nothing
//! else; the log reports the start, with the cause, and the end of such an outage.

mod sampling;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use mt_service::with_causes;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter,
};
use reqwest::redirect::Policy;

use self::sampling::Sampling;
use crate::config::TraceConfig;

/// The error when spans cannot be exported.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Creates the span provider; `None` if no collector is configured. Do not call it within a runtime, because its HTTP
/// client has its own.
///
/// # Errors
///
/// When the exporter rejects a setting.
pub(crate) fn provider(config: &TraceConfig) -> Result<Option<SdkTracerProvider>, Error> {
    let Some(endpoint) = config.endpoint() else { return Ok(None) };
    let trouble = Trouble::default();
    let client = reqwest::blocking::Client::builder()
        .timeout(config.timeout)
        // A redirected POST would become a GET, and the headers may be meant for this host only.
        .redirect(Policy::none())
        .build()?;
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(Client { client, trouble: trouble.clone() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(config.timeout)
        .with_headers(config.header_list().into_iter().collect::<HashMap<_, _>>())
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_scheduled_delay(config.delay)
        .with_max_queue_size(usize::try_from(config.queue)?)
        .with_max_export_batch_size(usize::try_from(config.batch)?)
        .build();
    let processor =
        BatchSpanProcessor::builder(Watched { exporter, trouble, lost: AtomicU64::new(0) })
            .with_batch_config(batches)
            .build();
    let attributes =
        config.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let resource = Resource::builder()
        .with_attributes(attributes)
        .with_service_name(config.service_name.clone())
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampling::new(config.sampler))
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

/// The cause of the last failed request, which the exporter does not report itself.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn set(&self, cause: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An HTTP client that records the cause of a failed request.
struct Client {
    client: reqwest::blocking::Client,
    trouble: Trouble,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.client.send_bytes(request).await;
        // The URL is removed from the error, because its query may hold a key.
        let sent = sent.map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(error) => Box::new(error.without_url()) as HttpError,
            Err(error) => error,
        });
        self.trouble.set(sent.as_ref().err().map(|error| with_causes(&**error)));
        sent
    }
}

/// An exporter that logs when it starts to fail, and when it works again.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    trouble: Trouble,
    /// The number of spans lost since it started to fail; 0 while it works.
    lost: AtomicU64,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let exported = self.exporter.export(batch).await;
        // Batches are exported one at a time, so no other request sets the cause in between.
        match &exported {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(lost, "traces reach the collector again");
                }
            }
            Err(error) => {
                let before = self.lost.fetch_add(spans, Ordering::Relaxed);
                let cause = self.trouble.take();
                if before == 0 {
                    tracing::warn!(cause, "traces do not reach the collector: {error}");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
