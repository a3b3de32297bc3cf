//! Fast conversion of times from rows and to JSON.
//!
//! A page of twenty tasks has forty times. The conversions of sqlx and chrono interpret a format pattern for each and
//! write JSON digit by digit; they took an eighth of the time of a page.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Postgres, Type};

/// A `timestamptz` of a row, which converts to a `DateTime`: `#[sqlx(try_from = "Timestamp")]`.
pub(super) struct Timestamp(pub(super) DateTime<Utc>);

impl From<Timestamp> for DateTime<Utc> {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text
            && let Some(time) = read(value.as_str()?)
        {
            return Ok(Self(time));
        }
        DateTime::decode(value).map(Self)
    }
}

/// Parses the format of Postgres, such as `2026-11-26 19:23:56.7775+00`: RFC 3339, except that an offset of whole
/// hours has no minutes.
fn read(text: &str) -> Option<DateTime<Utc>> {
    let mut whole = [0; 40];
    let time = match text.as_bytes() {
        [.., b'+' | b'-', _, _] => {
            let whole = whole.get_mut(..text.len() + 3)?;
            whole[..text.len()].copy_from_slice(text.as_bytes());
            whole[text.len()..].copy_from_slice(b":00");
            DateTime::parse_from_rfc3339(std::str::from_utf8(whole).ok()?)
        }
        _ => DateTime::parse_from_rfc3339(text),
    };
    Some(time.ok()?.to_utc())
}

/// Serializes a time as RFC 3339 in one piece: `#[serde(serialize_with = "timestamp::serialize")]`.
pub(super) fn serialize<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_parses_the_format_of_postgres() {
        let micros = |text: &str| read(text).map(|time| time.timestamp_micros());
        let at = micros("2026-11-26T19:23:56.777500Z");
        assert!(at.is_some());
        for same in [
            "2026-11-26 19:23:56.7775+00",
            "2026-11-26 21:23:56.7775+02",
            "2026-11-27 00:53:56.7775+05:30",
            "2026-11-26 14:23:56.7775-05",
        ] {
            assert_eq!(micros(same), at, "{same}");
        }
        assert_eq!(micros("2026-11-26 19:23:56+00"), at.map(|at| at - 777_500));
        // sqlx handles every other text.
        let long = "9".repeat(60) + "+00";
        for other in ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "", &long] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn it_serializes_as_chrono_does(micros in 0..4_000_000_000_000_000_i64) {
            let time = DateTime::from_timestamp_micros(micros).unwrap();
            let mut ours = Vec::new();
            serialize(&time, &mut serde_json::Serializer::new(&mut ours)).unwrap();
            prop_assert_eq!(ours, serde_json::to_vec(&time).unwrap());
        }
    }
}
