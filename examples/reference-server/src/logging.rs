//! The log: to stderr, because stdout is for data.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the whole process.
///
/// Without a configured format it is for people on a terminal and JSON lines elsewhere.
///
/// # Errors
///
/// [`LoggingError`], also when logging was started before.
pub fn init(config: &LogConfig) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let is_terminal = io::stderr().is_terminal();
    let format = config.format.unwrap_or(match is_terminal {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        // Escape codes in a pipe or a file help nobody.
        LogFormat::Pretty => log.with_ansi(is_terminal).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(true).try_init(),
    }
    .map_err(LoggingError::Started)
}

/// Why the log did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` is not a filter.
    #[error("`RUST_LOG` is not a list of directives")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else started it first.
    #[error("the log was started before")]
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}
