//! Types of fields in request bodies. A value of such a type is valid; the text of an error is a lower case
//! fragment that follows the field's name.

use std::fmt;

use mt_core::email::EmailAddress;
use mt_core::text_enum::TextEnum;
use salvo_oapi::schema::{AnyOf, BasicType, Object};
use salvo_oapi::{Components, ComposeSchema, RefOr, Schema, ToSchema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use super::openapi::describe::pattern;
use crate::inline_schema;

macro_rules! one_line_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It was trimmed and has 1 to 200 characters (Unicode scalar values), none of them a
        /// control character or a line or paragraph separator.
        #[derive(Clone, Debug, Eq, PartialEq, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads and trims a text.
            ///
            /// # Errors
            ///
            /// [`TextError`], whose text may be shown to the user.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                one_line(text).map(Self)
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

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(Self::parse))
            }
        }

        inline_schema!($name => pattern(LINE).min_length(1).max_length(MAX_LINE_CHARS));
    };
}

one_line_text! {
    /// The name of an org or a project.
    Name
}
one_line_text! {
    /// The title of a task.
    Title
}

/// Control characters nowhere, and something else than white space somewhere, as a regular expression of
/// JSON Schema.
const LINE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$",
);
/// Control characters nowhere but where lines end.
const LINES: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029]*$";
/// Characters that an address may have before the `@`, and those that a domain may have; without white space and
/// invisible characters. [`EmailAddress::parse`] decides how they may be combined.
const ADDRESS: &str = concat!(
    r#"^[^\u0000-\u0020"(),:;<>@\[\\\]\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+@"#,
    r"[^\u0000-\u002c\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+$",
);
/// The most bytes in an address, which for almost all are its characters.
const MAX_ADDRESS: usize = 254;

/// The most characters in a name or a title.
pub const MAX_LINE_CHARS: usize = 200;

fn one_line(text: &str) -> Result<String, TextError> {
    // Before trimming, which would hide a line feed at the end.
    if text.chars().any(is_control) {
        return Err(TextError::ControlCharacter);
    }
    let line = text.trim();
    match line.chars().count() {
        1..=MAX_LINE_CHARS => Ok(line.to_owned()),
        _ => Err(TextError::Length { min: 1, max: MAX_LINE_CHARS }),
    }
}

/// A longer text of at most 10 000 characters, in which `\n`, `\r` and `\t` may stand. It is not
/// trimmed, and may be empty.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Description(String);

/// The token of an e-mail. Any text is accepted here; the lookup decides.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(String);

/// An e-mail address in its canonical form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Email(EmailAddress);

impl Description {
    /// The most characters.
    pub const MAX_CHARS: usize = 10_000;

    /// Reads a description.
    ///
    /// # Errors
    ///
    /// [`TextError`], whose text may be shown to the user.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.chars().any(|char| is_control(char) && !matches!(char, '\n' | '\r' | '\t')) {
            return Err(TextError::ControlCharacter);
        }
        match text.chars().count() {
            0..=Self::MAX_CHARS => Ok(Self(text.to_owned())),
            _ => Err(TextError::Length { min: 0, max: Self::MAX_CHARS }),
        }
    }

    /// Returns the text as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text as it was sent.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Token {
    /// Returns the text as it was sent.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
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

    /// Returns the address.
    #[must_use]
    pub fn into_address(self) -> EmailAddress {
        self.0
    }
}

/// Cc, and the two separators that some displays take for a line's end.
fn is_control(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

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

/// A member of a PATCH body in which absence and `null` have different meanings. Needs
/// `#[serde(default)]`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Patch<T> {
    /// Absent: the value stays.
    #[default]
    Absent,
    /// `null`: the value is cleared.
    Null,
    /// The new value.
    Value(T),
}

impl<T> Patch<T> {
    /// Returns `None` to keep the value, `Some(None)` to clear, `Some(Some(_))` to set.
    pub fn into_option(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

inline_schema!(Description => pattern(LINES).max_length(Description::MAX_CHARS));
inline_schema!(Token => pattern(r"^[^\u0000]*$"));
inline_schema!(Email => pattern(ADDRESS).max_length(MAX_ADDRESS));

impl<T: ToSchema> ToSchema for Patch<T> {
    fn to_schema(components: &mut Components) -> RefOr<Schema> {
        let null = Object::with_type(BasicType::Null);
        AnyOf::new().item(T::to_schema(components)).item(null).into()
    }
}

impl<T: ToSchema> ComposeSchema for Patch<T> {
    fn compose(components: &mut Components, _: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        Self::to_schema(components)
    }
}

/// For `#[serde(default, deserialize_with = "fields::present")]` on an `Option`: a member that may
/// be absent but not `null`.
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
    deserializer.deserialize_str(Text(|text: &str| {
        W::parse(text).map_err(|_unknown| {
            let words: Vec<_> = W::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
            format!("must be one of {}", words.join(", "))
        })
    }))
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

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(Self::parse))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(EmailAddress::parse)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        let longest = "😀".repeat(200);
        for (typed, stored) in
            [(" a ", "a"), ("\u{3000}日本\u{3000}", "日本"), (longest.as_str(), longest.as_str())]
        {
            assert_eq!(Name::parse(typed), Ok(Name(stored.to_owned())));
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
            assert_eq!(Name::parse(typed), Err(error), "{typed:?}");
        }
    }

    #[test]
    fn descriptions_keep_their_lines() {
        for text in ["", " a\r\n\tb ", &"é".repeat(10_000)] {
            assert_eq!(Description::parse(text).unwrap().as_str(), text);
        }
        assert!(Description::parse(&"a".repeat(10_001)).is_err());
        assert!(Description::parse("a\u{b}").is_err());
        assert!(Description::parse("a\u{2029}").is_err());
    }

    #[test]
    fn a_patch_tells_absent_from_null() {
        #[derive(Deserialize)]
        struct Change {
            #[serde(default)]
            note: Patch<Description>,
            #[serde(default, deserialize_with = "present")]
            title: Option<Title>,
        }
        let read = serde_json::from_str::<Change>;
        assert_eq!(read("{}").unwrap().note, Patch::Absent);
        assert_eq!(read(r#"{"note":null}"#).unwrap().note.into_option(), Some(None));
        let set = read(r#"{"note":"x"}"#).unwrap().note.into_option();
        assert_eq!(set, Some(Some(Description("x".to_owned()))));
        assert_eq!(read("{}").unwrap().title, None);
        assert!(read(r#"{"title":null}"#).is_err());
    }
}
