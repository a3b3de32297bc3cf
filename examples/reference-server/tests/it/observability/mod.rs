//! Logs, metrics, traces and readiness.

pub(crate) mod logs;
mod metrics;
mod readiness;
#[cfg(feature = "otlp")]
mod traces;
mod user_data_in_logs;
