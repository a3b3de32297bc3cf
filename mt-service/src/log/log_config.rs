//! Settings of the log.

use tracing_subscriber::EnvFilter;

use crate::settings::{Reader, Setting};

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `RUST_LOG`: directives of `EnvFilter` in `tracing-subscriber`.
    pub filter: String,
    /// `LOG_FORMAT`; `None`: pretty on a terminal, otherwise JSON.
    pub format: Option<LogFormat>,
}

impl LogConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Self {
        let directives = "directives such as `info,sqlx=warn`";
        let filter = r.optional("RUST_LOG", directives, |value| {
            EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
        });
        Self {
            filter: filter.unwrap_or_else(|| "info".to_owned()),
            format: r.optional("LOG_FORMAT", "`json` or `pretty`", LogFormat::parse),
        }
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 2] {
        let Self { filter, format } = self;
        [
            Setting::new("RUST_LOG", filter),
            Setting::optional("LOG_FORMAT", format.map(LogFormat::as_str)),
        ]
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Pretty,
}

impl LogFormat {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "pretty" => Some(Self::Pretty),
            _ => None,
        }
    }

    /// Returns the value of `LOG_FORMAT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        }
    }
}
