//! What is wrong with the environment, all of it at once.

use std::fmt;

/// Every setting that is not as it should be. One line each when shown; the process should exit
/// with code 2.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The settings, in the order in which they were read.
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

/// One setting that is not as it should be: its name, what it got and what it takes.
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

    /// The variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What a setting got, fit to be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Got {
    /// Nothing, or the empty string.
    Unset,
    /// A value that is no secret.
    Plain(String),
    /// A secret of so many bytes.
    Secret(usize),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("not set"),
            Self::Plain(value) => {
                // One line, and not a screenful: an error must not be a way to write to the log.
                let shown: String = value.chars().take(100).collect();
                let ellipsis = if shown.len() < value.len() { "…" } else { "" };
                write!(f, "`{}{ellipsis}`", shown.escape_debug())
            }
            Self::Secret(bytes) => write!(f, "a secret of {bytes} bytes"),
        }
    }
}
