//! Words of closed sets, in answers.

use std::fmt;

use mt_core::text_enum::TextEnum;
use serde::{Serialize, Serializer};

use super::openapi::describe::words;
use crate::inline_schema;

/// A value that is shown as its word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Said<W>(pub W);

impl<W: TextEnum> Serialize for Said<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<W: TextEnum> fmt::Display for Said<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

inline_schema!([W: TextEnum] Said<W> => words::<W>());
