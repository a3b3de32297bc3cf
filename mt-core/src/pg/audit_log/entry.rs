//! An audit entry before its actor and tenant are added.

use serde::Serialize;
use uuid::Uuid;

use super::Action;
use crate::text_enum::TextEnum;

/// That something was done, to whom, and a few facts about it. Made by [`Action::on`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an entry is written by the transaction that it is handed to"]
pub struct NewEntry {
    pub(super) action: Action,
    pub(super) target: Uuid,
    pub(super) facts: Vec<(&'static str, Fact)>,
}

impl NewEntry {
    pub(super) const fn new(action: Action, target: Uuid) -> Self {
        Self { action, target, facts: Vec::new() }
    }

    /// Adds a fact, under a name of the application's.
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.facts.push((name, fact.into()));
        self
    }

    /// Adds a fact where there is one.
    pub(in crate::pg) fn with_some(self, name: &'static str, fact: Option<Uuid>) -> Self {
        match fact {
            Some(fact) => self.with(name, fact),
            None => self,
        }
    }

    /// What was done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }
}

/// A word, an id or a number. There is no way from a text to a fact but [`Fact::of_word`], so that what
/// people have typed does not get into the log by mistake.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Fact(serde_json::Value);

impl Fact {
    /// The longest text that is taken from elsewhere.
    const LONGEST: usize = 255;

    /// A word that the application has not made up, such as a provider's for a status: letters, digits,
    /// `_`, `-` and `.`. Anything else becomes `?`.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        let is_word = (1..=Self::LONGEST).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        Self(if is_word { word.into() } else { "?".into() })
    }
}

impl<W: TextEnum> From<W> for Fact {
    fn from(word: W) -> Self {
        Self(word.as_str().into())
    }
}

macro_rules! facts {
    ($($from:ty),*) => {
        $(impl From<$from> for Fact {
            fn from(value: $from) -> Self {
                Self(serde_json::json!(value))
            }
        })*
    };
}

facts!(&'static str, Uuid, Option<Uuid>, Vec<&'static str>, bool, u32, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_a_word_is_replaced() {
        for word in ["past_due", "evt_1", "cus-2.x"] {
            assert_eq!(Fact::of_word(word), Fact(word.into()));
        }
        for other in ["", "two words", "ada@example.org", "é", "{}", &"a".repeat(256)] {
            assert_eq!(Fact::of_word(other), Fact("?".into()), "{other}");
        }
    }
}
