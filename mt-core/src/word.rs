//! Closed sets of words: roles, plans, permissions and whatever else is stored or sent as text.

use std::fmt;

/// An enum whose variants are words.
///
/// One list, one spelling each: the same words go into the database, into answers and into the
/// printed policy table.
///
/// # Example
///
/// ```
/// use mt_core::word::Word;
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// enum Plan { Free, Team }
///
/// impl Word for Plan {
///     const ALL: &'static [Self] = &[Self::Free, Self::Team];
///     fn as_str(self) -> &'static str {
///         match self {
///             Self::Free => "free",
///             Self::Team => "team",
///         }
///     }
/// }
///
/// assert_eq!(Plan::parse("team"), Ok(Plan::Team));
/// assert_eq!(Plan::parse("gold").unwrap_err().to_string(), "`gold` is none of: free, team");
/// ```
pub trait Word: Copy + fmt::Debug + Eq + Send + Sync + 'static {
    /// Every variant, in the order in which tables show them.
    const ALL: &'static [Self];

    /// The variant's one spelling.
    fn as_str(self) -> &'static str;

    /// The variant spelled `word`, to the letter.
    ///
    /// # Errors
    ///
    /// [`UnknownWord`], which lists the words that are taken.
    fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| UnknownWord::new::<Self>(word))
    }
}

/// A word that is not in the set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{word}` is none of: {}", taken.join(", "))]
pub struct UnknownWord {
    word: String,
    taken: Vec<&'static str>,
}

impl UnknownWord {
    fn new<W: Word>(word: &str) -> Self {
        Self { word: word.to_owned(), taken: W::ALL.iter().map(|w| w.as_str()).collect() }
    }
}
