//! Reading values that Stripe may move, expand, rename or leave out.
//!
//! Absent, null, empty and unusable are the same to a reader: there is nothing. Texts are bounded
//! and free of control characters, so that whatever comes out of here can be stored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest identifier or word, in bytes; Stripe's own bound.
const MAX_BYTES: usize = 255;

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;

/// A time as Stripe tells it, and as it is stored: whole seconds, which Postgres compares as numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(crate) struct Second(i64);

impl Second {
    pub(crate) const EPOCH: Self = Self(0);

    /// The second that `time` lies in.
    pub(crate) fn of(time: DateTime<Utc>) -> Self {
        Self(time.timestamp().clamp(0, LAST))
    }
}

impl From<Second> for DateTime<Utc> {
    fn from(Second(seconds): Second) -> Self {
        Self::from_timestamp(seconds.clamp(0, LAST), 0).unwrap_or_default()
    }
}

/// A non-empty text.
pub(crate) fn word(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| {
        !text.is_empty() && text.len() <= MAX_BYTES && !text.chars().any(char::is_control)
    })
}

/// An identifier: a text, or an expanded object with an `id`.
pub(crate) fn reference(value: &Value) -> Option<&str> {
    word(value).or_else(|| word(value.get("id")?))
}

/// Whose `object` is: a customer, or the account that stands for one in newer integrations.
pub(crate) fn customer(object: &Value) -> Option<&str> {
    ["customer", "customer_account"].iter().find_map(|field| reference(object.get(field)?))
}

/// Whether `object` says that it belongs to no customer, as opposed to saying nothing usable.
pub(crate) fn says_no_customer(object: &Value) -> bool {
    object.get("customer").is_some_and(Value::is_null)
        && object.get("customer_account").is_none_or(Value::is_null)
}

/// What `pointer` (RFC 6901) points at, as an identifier.
pub(crate) fn reference_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    reference(value.pointer(pointer)?)
}

/// A time in whole seconds: a Unix timestamp, or RFC 3339 as newer payloads have it.
pub(crate) fn instant(value: &Value) -> Option<DateTime<Utc>> {
    let seconds = match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok()?.timestamp(),
        other => other.as_i64()?,
    };
    (0..=LAST).contains(&seconds).then(|| DateTime::from_timestamp(seconds, 0)).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_stored_is_absent() {
        assert_eq!(word(&json!("sub_1")), Some("sub_1"));
        for value in [json!(null), json!(1), json!(""), json!("a\0b"), json!("x".repeat(256))] {
            assert_eq!(word(&value), None, "{value}");
        }
    }

    #[test]
    fn expanded_objects_are_identified() {
        assert_eq!(reference(&json!("cus_1")), Some("cus_1"));
        assert_eq!(reference(&json!({"id": "cus_1", "object": "customer"})), Some("cus_1"));
        assert_eq!(reference(&json!({"object": "customer"})), None);
    }

    #[test]
    fn times_are_seconds_in_either_spelling() {
        let expected = DateTime::from_timestamp(1_795_449_600, 0);
        assert_eq!(instant(&json!(1_795_449_600)), expected);
        assert_eq!(instant(&json!("2026-11-23T16:00:00.250Z")), expected);
        for value in [json!(-1), json!(1_795_449_600_000_i64), json!(1.5), json!("soon")] {
            assert_eq!(instant(&value), None, "{value}");
        }
    }
}
