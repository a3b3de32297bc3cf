//! A value as SQL text, for statements that share one message with others.

use std::fmt::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// A value and the name of its type.
#[derive(Clone)]
pub(in crate::pg) struct Value {
    sql_type: &'static str,
    /// What Postgres reads it from; `None` is null.
    text: Option<Text>,
}

#[derive(Clone)]
enum Text {
    /// Digits, hex digits, hyphens and words of this crate.
    Word(String),
    /// What a user wrote, or what holds it.
    Free(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// A value whose text consists of digits, letters, hyphens and the like.
    pub(in crate::pg) fn word(sql_type: &'static str, text: impl Into<String>) -> Self {
        Self { sql_type, text: Some(Text::Word(text.into())) }
    }

    /// A value of any text.
    pub(in crate::pg) fn free(sql_type: &'static str, text: impl Into<String>) -> Self {
        Self { sql_type, text: Some(Text::Free(text.into())) }
    }

    /// A `bytea`.
    pub(in crate::pg) fn bytes(bytes: &[u8]) -> Self {
        Self { sql_type: "bytea", text: Some(Text::Bytes(bytes.to_vec())) }
    }

    /// A null of this type.
    pub(in crate::pg) const fn null(sql_type: &'static str) -> Self {
        Self { sql_type, text: None }
    }

    /// Its type, as SQL.
    pub(in crate::pg) const fn sql_type(&self) -> &'static str {
        self.sql_type
    }
}

/// As an SQL expression. Text with other than plain characters becomes hex digits, so that Postgres reads none of it as
/// SQL, whatever it is and however strings are escaped. Plain text stands as it is, which saves Postgres two calls.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            None => f.write_str("null"),
            Some(Text::Bytes(bytes)) => {
                f.write_str("decode('")?;
                hex_digits(f, bytes)?;
                f.write_str("', 'hex')")
            }
            Some(Text::Word(text) | Text::Free(text)) if text.bytes().all(is_plain) => {
                write!(f, "'{text}'")
            }
            Some(Text::Word(text) | Text::Free(text)) => {
                f.write_str("convert_from(decode('")?;
                hex_digits(f, text.as_bytes())?;
                f.write_str("', 'hex'), 'utf8')")?;
                // Postgres casts a text to another type only where a cast is written.
                if self.sql_type == "text" { Ok(()) } else { write!(f, "::{}", self.sql_type) }
            }
        }
    }
}

fn hex_digits(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Whether a character means itself in an SQL string under every setting of Postgres: neither a quote nor a backslash,
/// and nothing else that is not known to be harmless.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b' ' | b'_' | b'-' | b'.' | b',' | b':' | b'+' | b'"' | b'{' | b'}')
}

/// Shows the type alone: users' values are not for logs.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_type)
    }
}

macro_rules! from {
    ($($rust:ty => $sql_type:literal, $make:expr;)*) => { $(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                let make: fn(&'static str, $rust) -> Self = $make;
                make($sql_type, value)
            }
        }

        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self {
                value.map_or(Self::null($sql_type), Self::from)
            }
        }
    )* };
}

from! {
    Uuid => "uuid", |sql_type, id| Self::word(sql_type, id.to_string());
    &str => "text", |sql_type, text| Self::free(sql_type, text);
    String => "text", |sql_type, text| Self::free(sql_type, text);
    i16 => "int2", |sql_type, number| Self::word(sql_type, number.to_string());
    i64 => "int8", |sql_type, number| Self::word(sql_type, number.to_string());
    DateTime<Utc> => "timestamptz", |sql_type, time| {
        Self::word(sql_type, time.to_rfc3339_opts(SecondsFormat::Micros, true))
    };
}

/// Puts values in the places of `$1`, `$2` and so on. For statements of this crate alone, whose texts have a dollar
/// sign nowhere else.
pub(in crate::pg) fn written_out(sql: &str, values: &[Value]) -> String {
    let mut written = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = after[..digits].parse().expect("a dollar is followed by a number");
        _ = write!(written, "{before}{}", values[number - 1]);
        rest = &after[digits..];
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_other_than_plain_characters_becomes_hex_digits() {
        for text in
            ["'); drop table mt.tenants; --", "\\'", "\0", "ü 🦀", "$1", "'hex'", "a;b", "é"]
        {
            let sql = Value::from(text).to_string();
            let hex = sql
                .strip_prefix("convert_from(decode('")
                .and_then(|rest| rest.strip_suffix("', 'hex'), 'utf8')"))
                .unwrap_or_else(|| panic!("{sql}"));
            assert_eq!(hex::decode(hex).unwrap(), text.as_bytes());
        }
        let sql = Value::free("jsonb", r#"{"a":"'"}"#).to_string();
        assert!(sql.ends_with("', 'hex'), 'utf8')::jsonb"), "{sql}");
        assert_eq!(Value::bytes(b"'a").to_string(), "decode('2761', 'hex')");
    }

    #[test]
    fn plain_text_stands_as_it_is() {
        for text in ["", "task.created", "Made under load", r#"{"project":"01-a, b"}"#] {
            assert_eq!(Value::from(text).to_string(), format!("'{text}'"));
        }
        let plain: Vec<u8> = (0..=u8::MAX).filter(|byte| is_plain(*byte)).collect();
        let others = plain.iter().filter(|byte| !byte.is_ascii_alphanumeric()).copied();
        assert_eq!(String::from_utf8(others.collect()).unwrap(), r#" "+,-.:_{}"#);
    }

    #[test]
    fn none_is_null_of_its_type() {
        let none: Value = None::<Uuid>.into();
        assert_eq!((none.to_string().as_str(), none.sql_type()), ("null", "uuid"));
    }

    #[test]
    fn values_go_where_their_numbers_are() {
        let values = [Value::from(7_i64), Value::from("a")];
        assert_eq!(written_out("a $2, $1, $2", &values), "a 'a', '7', 'a'");
        assert_eq!(written_out("none", &values), "none");
    }
}
