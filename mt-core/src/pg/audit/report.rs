//! What an audit has found.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Rule;
use crate::word::Word as _;

/// One breach of one rule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Which rule.
    #[serde(serialize_with = "as_word")]
    pub rule: Rule,
    /// The table, view, function or role, with its schema.
    pub object: String,
    /// The policy, constraint or privilege in question.
    pub detail: Option<String>,
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

/// All that an audit has found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[must_use = "an audit that nobody reads finds nothing"]
pub struct Report {
    /// Sorted by rule and object.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether there is nothing to be said.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether `rule` is broken by `object`.
    #[must_use]
    pub fn names(&self, rule: Rule, object: &str) -> bool {
        self.findings.iter().any(|finding| finding.rule == rule && finding.object == object)
    }
}

impl fmt::Display for Report {
    /// A line for each finding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{finding}")?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn as_word<S: Serializer>(rule: &Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.as_str())
}
