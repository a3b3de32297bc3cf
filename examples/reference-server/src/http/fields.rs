//! Types of fields in request bodies. A value of such a type is valid; the text of an error is a lower case
//! fragment that follows the field's name.

use mt_http::fields::{LINE, Line, is_control, parsed};
pub use mt_http::fields::{MAX_LINE_CHARS, TextError, present, word};
use salvo_oapi::schema::{AnyOf, BasicType, Object};
use salvo_oapi::{Components, ComposeSchema, RefOr, Schema, ToSchema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::openapi::describe::pattern;
use crate::inline_schema;

macro_rules! one_line_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It was trimmed and has 1 to 200 characters, none of them a control character ([`Line`]).
        #[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(transparent)]
        pub struct $name(Line);

        impl $name {
            /// Reads and trims a text.
            ///
            /// # Errors
            ///
            /// [`TextError`], whose text may be shown to the user.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                Line::parse(text).map(Self)
            }

            /// Returns the trimmed text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Returns the trimmed text.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0.into_string()
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

/// Control characters nowhere but where lines end.
const LINES: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029]*$";
/// A longer text of at most 10 000 characters, in which `\n`, `\r` and `\t` may stand. It is not
/// trimmed, and may be empty.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Description(String);

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

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
