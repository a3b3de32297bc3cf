//! The result of a check.

use std::collections::BTreeSet;
use std::fmt;

/// The violations that a check found; empty if the application passed.
#[derive(Clone, Debug, Default)]
#[must_use = "call `assert_none`, or a failed check goes unnoticed"]
pub struct Findings {
    all: Vec<String>,
    seen: BTreeSet<(String, &'static str)>,
    is_without_policies: bool,
}

impl Findings {
    /// Makes the text say that row-level security was off, so that a finding is not taken for a leak of the service.
    pub(super) fn without_policies(self) -> Self {
        Self { is_without_policies: true, ..self }
    }

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
        let (count, plural) = (self.all.len(), if self.all.len() == 1 { "" } else { "s" });
        write!(f, "{count} finding{plural}")?;
        if self.is_without_policies {
            f.write_str(" with row-level security off")?;
        }
        f.write_str(":")?;
        self.all.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}
