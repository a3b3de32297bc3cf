//! What a check has found.

use std::fmt;

/// What a check has found; empty when there is nothing to find.
#[derive(Clone, Debug, Default)]
#[must_use = "a check that nobody looks at checks nothing"]
pub struct Findings {
    all: Vec<String>,
}

impl Findings {
    pub(super) fn add(&mut self, finding: String) {
        self.all.push(finding);
    }

    /// One line each.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.all
    }

    /// Fails with everything that was found.
    ///
    /// # Panics
    ///
    /// If anything was.
    #[track_caller]
    pub fn assert_none(&self) {
        assert!(self.all.is_empty(), "{self}");
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} findings:", self.all.len())?;
        self.all.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}
