//! The result of a check.

use std::collections::BTreeSet;
use std::fmt;

/// The violations that a check found; empty if the application passed.
#[derive(Clone, Debug, Default)]
#[must_use = "call `assert_none`, or a failed check goes unnoticed"]
pub struct Findings {
    all: Vec<String>,
    seen: BTreeSet<(String, &'static str)>,
}

impl Findings {
    pub(super) fn add(&mut self, finding: String) {
        self.all.push(finding);
    }

    /// Adds a finding unless there is one of the same `kind` for the route `of`, because one fault affects many
    /// requests.
    pub(super) fn add_once(&mut self, of: &str, kind: &'static str, finding: String) {
        if self.seen.insert((of.to_owned(), kind)) {
            self.add(finding);
        }
    }

    /// Returns the findings, one line each.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.all
    }

    /// Asserts that there are no findings.
    ///
    /// # Panics
    ///
    /// With all findings, if there are any.
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
