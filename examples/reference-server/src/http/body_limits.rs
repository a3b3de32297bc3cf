//! The longest bodies.

use mt_http::body::DEFAULT_LIMIT;

/// The longest body for each path, in bytes. Inclusive.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    default: u64,
    exceptions: Vec<(&'static str, u64)>,
}

impl BodyLimits {
    /// Allows `limit` bytes on exactly `path`.
    #[must_use]
    pub fn with(mut self, path: &'static str, limit: u64) -> Self {
        self.exceptions.push((path, limit));
        self
    }

    /// The limit of `path`.
    #[must_use]
    pub fn of(&self, path: &str) -> u64 {
        let exception = self.exceptions.iter().find(|(held, _)| *held == path);
        exception.map_or(self.default, |(_, limit)| *limit)
    }
}

impl Default for BodyLimits {
    /// [`DEFAULT_LIMIT`] everywhere.
    fn default() -> Self {
        Self { default: DEFAULT_LIMIT, exceptions: Vec::new() }
    }
}
