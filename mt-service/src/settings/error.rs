//! Errors in settings, all reported at once.

use std::fmt;

/// The invalid settings, one line each; the process should exit with code 2.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// Returns the invalid settings, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// An invalid setting: its name, the value that was given and the values that are accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is {got}; it takes {takes}")]
pub struct ConfigError {
    name: &'static str,
    got: Got,
    takes: String,
}

impl ConfigError {
    pub(super) fn new(name: &'static str, got: Got, takes: impl Into<String>) -> Self {
        Self { name, got, takes: takes.into() }
    }

    /// Returns the name of the variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The value that was given, in a form that may be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Got {
    /// No value, or the empty string.
    Unset,
    /// A value that is not secret.
    Plain(String),
    /// A secret; its length is shown.
    Secret(usize),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("not set"),
            Self::Plain(value) => {
                // Limited to a line, so that a value cannot flood the log.
                let shown: String = value.chars().take(100).collect();
                let ellipsis = if shown.len() < value.len() { "…" } else { "" };
                write!(f, "`{}{ellipsis}`", shown.escape_debug())
            }
            Self::Secret(bytes) => write!(f, "a secret of {bytes} bytes"),
        }
    }
}
