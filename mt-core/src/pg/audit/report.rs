//! The result of an audit.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::Rule;
use crate::text_enum::TextEnum as _;

/// A violation of a rule.
///
/// Its JSON is `{"rule", "object", "detail", "explanation", "severity"}`; `severity` is `error`, or `note` for facts
/// that break nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The table, view, function, role or database, with its schema where it has one.
    pub object: String,
    /// The policy, constraint, privilege or statement that violates it.
    pub detail: Option<String>,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut finding = serializer.serialize_struct("Finding", 5)?;
        finding.serialize_field("rule", self.rule.as_str())?;
        finding.serialize_field("object", &self.object)?;
        finding.serialize_field("detail", &self.detail)?;
        finding.serialize_field("explanation", self.rule.explanation())?;
        finding.serialize_field("severity", if self.rule.is_note() { "note" } else { "error" })?;
        finding.end()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.as_str(), self.object)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        write!(f, ". {}", self.rule.explanation())
    }
}

/// The findings and notes of an audit.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[must_use = "check `is_clean`, or findings go unnoticed"]
pub struct Report {
    /// Violations of tenant isolation, sorted by rule and object.
    pub findings: Vec<Finding>,
    /// Facts that break nothing by themselves, sorted in the same way.
    pub notes: Vec<Finding>,
}

impl Report {
    pub(super) fn of(mut found: Vec<Finding>) -> Self {
        found.sort_by(|a, b| {
            (a.rule.as_str(), &a.object, &a.detail).cmp(&(b.rule.as_str(), &b.object, &b.detail))
        });
        let (notes, findings) = found.into_iter().partition(|finding| finding.rule.is_note());
        Self { findings, notes }
    }

    /// Returns whether there are no findings. Notes do not count.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns whether a finding or a note reports that `object` violates `rule`.
    #[must_use]
    pub fn names(&self, rule: Rule, object: &str) -> bool {
        let all = self.findings.iter().chain(&self.notes);
        all.into_iter().any(|finding| finding.rule == rule && finding.object == object)
    }
}

impl fmt::Display for Report {
    /// Prints a line for each finding, without notes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{finding}")?;
        }
        Ok(())
    }
}
