//! Types of fields in request bodies. A value of such a type is valid; the text of an error is a lower case
//! fragment that follows the field's name.

use std::fmt;

use mt_core::email::EmailAddress;
use mt_core::text_enum::TextEnum;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// The most characters in a [`Line`].
pub const MAX_LINE_CHARS: usize = 200;

/// What a [`Line`] matches, as a regular expression of JSON Schema: control characters nowhere, and something else than
/// white space somewhere.
pub const LINE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$",
);
/// Characters that an address may have before the `@`, and those that a domain may have; without white space and
/// invisible characters. [`EmailAddress::parse`] decides how they may be combined.
pub(crate) const ADDRESS: &str = concat!(
    r#"^[^\u0000-\u0020"(),:;<>@\[\\\]\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+@"#,
    r"[^\u0000-\u002c\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+$",
);
/// The most bytes in an address, which for almost all are its characters.
pub(crate) const MAX_ADDRESS: usize = 254;

/// A text of one line, such as a name or a title.
///
/// It was trimmed and has 1 to 200 characters (Unicode scalar values), none of them a control character or a line or
/// paragraph separator.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Line(String);

/// The token of an e-mail. Any text is accepted here; the lookup decides.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Token(String);

/// An e-mail address in its canonical form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Email(EmailAddress);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TextError {
    /// It holds a character that it may not.
    #[error("must not hold control characters")]
    ControlCharacter,
    /// It is too short or too long.
    #[error("must have {min} to {max} characters")]
    Length {
        /// The smallest number of characters.
        min: usize,
        /// The largest number of characters.
        max: usize,
    },
}

impl Line {
    /// Reads and trims a text.
    ///
    /// # Errors
    ///
    /// [`TextError`], whose text may be shown to the user.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        // Before trimming, which would hide a line feed at the end.
        if text.chars().any(is_control) {
            return Err(TextError::ControlCharacter);
        }
        let line = text.trim();
        match line.chars().count() {
            1..=MAX_LINE_CHARS => Ok(Self(line.to_owned())),
            _ => Err(TextError::Length { min: 1, max: MAX_LINE_CHARS }),
        }
    }

    /// Returns the trimmed text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the trimmed text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Email {
    /// Returns the address.
    #[must_use]
    pub const fn as_address(&self) -> &EmailAddress {
        &self.0
    }
}

/// Returns whether `char` is a control character (Cc), or one of the two separators that some displays take for the end of
/// a line.
#[must_use]
pub fn is_control(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// For `#[serde(default, deserialize_with = "fields::present")]` on an `Option`: a member that may be absent but not
/// `null`.
///
/// # Errors
///
/// Those of `T`.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// For `#[serde(deserialize_with = "fields::word")]`: one of a closed set of words.
///
/// # Errors
///
/// Lists the words, without quoting the one that was sent.
pub fn word<'de, D, W>(deserializer: D) -> Result<W, D::Error>
where
    D: Deserializer<'de>,
    W: TextEnum,
{
    parsed(deserializer, |text| {
        W::parse(text).map_err(|_unknown| {
            let words: Vec<_> = W::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
            format!("must be one of {}", words.join(", "))
        })
    })
}

/// Deserializes a string and parses it.
///
/// # Errors
///
/// Those of `parse`, whose text may be shown to the user.
pub fn parsed<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_str(Text(parse))
}

/// Visits a string and parses it.
struct Text<F>(F);

impl<T, E, F> Visitor<'_> for Text<F>
where
    F: FnOnce(&str) -> Result<T, E>,
    E: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<R: Error>(self, text: &str) -> Result<T, R> {
        (self.0)(text).map_err(R::custom)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, EmailAddress::parse).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_trimmed_and_counted_in_characters() {
        let longest = "😀".repeat(200);
        for (typed, stored) in
            [(" a ", "a"), ("\u{3000}日本\u{3000}", "日本"), (longest.as_str(), longest.as_str())]
        {
            assert_eq!(Line::parse(typed), Ok(Line(stored.to_owned())));
        }
        let length = TextError::Length { min: 1, max: 200 };
        for (typed, error) in [
            ("", length),
            (" \u{a0} ", length),
            (&"é".repeat(201), length),
            ("a\n", TextError::ControlCharacter),
            ("a\u{7f}b", TextError::ControlCharacter),
            ("a\u{85}b", TextError::ControlCharacter),
            ("a\u{2028}b", TextError::ControlCharacter),
        ] {
            assert_eq!(Line::parse(typed), Err(error), "{typed:?}");
        }
    }

    #[test]
    fn a_member_may_be_absent_and_not_null() {
        #[derive(Deserialize)]
        struct Change {
            #[serde(default, deserialize_with = "present")]
            name: Option<Line>,
        }
        let read = serde_json::from_str::<Change>;
        assert_eq!(read("{}").unwrap().name, None);
        assert!(read(r#"{"name":null}"#).is_err());
    }

    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", Token("secret".to_owned())), "Token(…)");
    }
}
