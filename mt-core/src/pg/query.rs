//! One statement with its values, for the ways that send several at once.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use crate::access::Permission;

/// One statement that needs permission `Q`, and its values: what
/// [`TenantPool::read`](super::TenantPool::read) and
/// [`TenantTx::insert_and_commit`](super::TenantTx::insert_and_commit) send along with what they say
/// themselves.
///
/// The text is the program's and the same each time. A read is planned once a connection, for all values
/// there can be, so it has to be one that goes the same way for all of them; where that depends on a value,
/// take two texts, or a transaction of your own. Values are never part of it: they go as arguments, in a form
/// that cannot be anything but a value.
///
/// # Example
///
/// ```
/// # use mt_core::access::{AccessModel, Billing, Effect, Permission};
/// # use mt_core::word::Word;
/// # #[derive(Clone, Copy, Debug, PartialEq, Eq)] enum Role { Owner }
/// # impl Word for Role {
/// #     const ALL: &'static [Self] = &[Self::Owner];
/// #     fn as_str(self) -> &'static str { "owner" }
/// # }
/// # struct Acme;
/// # impl AccessModel for Acme {
/// #     type Role = Role; type Plan = Role; type Permission = Role;
/// #     fn role_grants(_: Role, _: Role) -> bool { true }
/// #     fn plan_includes(_: Role, _: Role) -> bool { true }
/// # }
/// # struct NotesRead;
/// # impl Permission for NotesRead {
/// #     type Model = Acme; const KEY: Role = Role::Owner;
/// #     const EFFECT: Effect = Effect::Read; const BILLING: Billing = Billing::Exempt;
/// # }
/// use mt_core::pg::Query;
///
/// let newest = Query::<NotesRead>::new("select text from app.notes where tenant_id = $1 limit $2")
///     .bind(uuid::Uuid::nil())
///     .bind(20_i64);
/// ```
pub struct Query<Q: Permission> {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
    permission: PhantomData<fn() -> Q>,
}

impl<Q: Permission> Query<Q> {
    /// One statement, with `$1`, `$2` and so on for its values. It names its tables' schemas and, as
    /// everywhere, its tenant.
    #[must_use]
    pub fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new(), permission: PhantomData }
    }

    /// The next value.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The same for sqlx, where it goes by itself.
    pub(super) fn into_sqlx(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        self.values.into_iter().fold(sqlx::query(self.sql), |query, Value(kind)| match kind {
            Kind::Uuid(value) => query.bind(value),
            Kind::Text(value) => query.bind(value),
            Kind::Bigint(value) => query.bind(value),
            Kind::Boolean(value) => query.bind(value),
            Kind::Timestamp(value) => query.bind(value),
        })
    }
}

impl<Q: Permission> fmt::Debug for Query<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are the users'.
        f.debug_struct("Query").field("sql", &self.sql).finish_non_exhaustive()
    }
}

/// A value of a [`Query`]: an id, a text, a number, a time, a yes or no, or none.
#[derive(Clone)]
pub struct Value(Kind);

#[derive(Clone)]
enum Kind {
    Uuid(Option<Uuid>),
    Text(Option<String>),
    Bigint(Option<i64>),
    Boolean(Option<bool>),
    Timestamp(Option<DateTime<Utc>>),
}

impl Value {
    /// Its type, as SQL.
    pub(super) const fn sql_type(&self) -> &'static str {
        match self.0 {
            Kind::Uuid(_) => "uuid",
            Kind::Text(_) => "text",
            Kind::Bigint(_) => "bigint",
            Kind::Boolean(_) => "boolean",
            Kind::Timestamp(_) => "timestamptz",
        }
    }
}

/// As SQL: digits, hex digits, hyphens and the words of this function. A text becomes hex digits, so that
/// none of it is read as SQL, whatever it is and however strings are escaped; one of plain characters stands
/// as it is, which spares Postgres two calls.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Uuid(Some(id)) => write!(f, "'{id}'"),
            Kind::Text(Some(text)) if text.bytes().all(is_plain) => write!(f, "'{text}'"),
            Kind::Text(Some(text)) => {
                f.write_str("convert_from(decode('")?;
                for byte in text.bytes() {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str("', 'hex'), 'utf8')")
            }
            Kind::Bigint(Some(number)) => write!(f, "{number}"),
            Kind::Boolean(Some(yes)) => write!(f, "{yes}"),
            Kind::Timestamp(Some(time)) => {
                write!(f, "'{}'", time.to_rfc3339_opts(SecondsFormat::Micros, true))
            }
            Kind::Uuid(None)
            | Kind::Text(None)
            | Kind::Bigint(None)
            | Kind::Boolean(None)
            | Kind::Timestamp(None) => f.write_str("null"),
        }
    }
}

/// Whether a character means itself in a string of SQL, under every setting there is: neither a quote nor a
/// backslash, and nothing else that is not known to be harmless.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b' ' | b'_' | b'-' | b'.' | b',' | b':' | b'"' | b'{' | b'}')
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_type())
    }
}

macro_rules! from {
    ($($rust:ty => $kind:ident),* $(,)?) => { $(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self(Kind::$kind(Some(value.into())))
            }
        }

        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self {
                Self(Kind::$kind(value.map(Into::into)))
            }
        }
    )* };
}

from! {
    Uuid => Uuid,
    String => Text,
    &str => Text,
    i64 => Bigint,
    i32 => Bigint,
    bool => Boolean,
    DateTime<Utc> => Timestamp,
}

/// Puts values in the places of `$1`, `$2` and so on. For statements of this crate alone, in whose texts
/// nothing else looks like that.
pub(super) fn written_out(sql: &str, values: &[Value]) -> String {
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
    fn a_text_with_more_than_plain_characters_is_nothing_but_hex_digits() {
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
    }

    #[test]
    fn a_text_of_plain_characters_stands_as_it_is() {
        for text in ["", "task.created", "Made under load", r#"{"project":"01-a, b"}"#] {
            assert_eq!(Value::from(text).to_string(), format!("'{text}'"));
        }
        let plain: Vec<u8> = (0..=u8::MAX).filter(|byte| is_plain(*byte)).collect();
        let others = plain.iter().filter(|byte| !byte.is_ascii_alphanumeric()).copied();
        assert_eq!(String::from_utf8(others.collect()).unwrap(), r#" ",-.:_{}"#);
    }

    #[test]
    fn what_is_not_there_is_null_of_its_type() {
        let none: Value = None::<Uuid>.into();
        assert_eq!((none.to_string().as_str(), none.sql_type()), ("null", "uuid"));
    }

    #[test]
    fn values_go_where_their_numbers_are() {
        let values = [Value::from(7_i64), Value::from(true)];
        assert_eq!(written_out("a $2, $1, $2", &values), "a true, 7, true");
        assert_eq!(written_out("none", &values), "none");
    }
}
