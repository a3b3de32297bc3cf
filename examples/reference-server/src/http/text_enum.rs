//! Values of text enums, in answers.

use std::fmt;

use mt_core::text_enum::TextEnum;
use serde::{Serialize, Serializer};

use super::openapi::describe::words;
use crate::inline_schema;

/// A value that serializes and displays as its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AsText<E>(pub E);

impl<E: TextEnum> Serialize for AsText<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<E: TextEnum> fmt::Display for AsText<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

inline_schema!([E: TextEnum] AsText<E> => words::<E>());
