//! Bound values as SQL text.
//!
//! The driver encodes a value in the binary format of its type. A statement that shares a message with others takes its
//! values as text, so the bytes of the built-in types are written as Postgres reads them. A value of any other type makes
//! its statement go by itself.
//!
//! The formats are those of the `…send` functions of Postgres
//! (<https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES>).

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, SecondsFormat, Utc};
use sqlx::encode::{Encode, IsNull};
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgTypeKind};
use sqlx::{Postgres, Type, TypeInfo as _};
use uuid::Uuid;

use super::value::Value;

/// `value` as SQL text, if its type is one of those that are known here.
pub(in crate::pg) fn literal<'q, T>(value: &T) -> Option<Value>
where
    T: Encode<'q, Postgres> + Type<Postgres>,
{
    let type_info = value.produces().unwrap_or_else(T::type_info);
    let sql_type = known_type(&type_info)?;
    let mut bytes = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut bytes).ok()? {
        IsNull::Yes => Some(Value::null(sql_type)),
        IsNull::No => written(sql_type, &bytes),
    }
}

/// The SQL name of a type whose values can be written.
fn known_type(type_info: &PgTypeInfo) -> Option<&'static str> {
    // A type of the embedder's that happens to have such a name has no fixed number.
    type_info.oid()?;
    KNOWN.iter().copied().find(|known| type_info.name().eq_ignore_ascii_case(known))
}

/// The types whose values are written as text, and read from it.
const KNOWN: [&str; 32] = [
    "bool",
    "bool[]",
    "bytea",
    "date",
    "date[]",
    "float4",
    "float4[]",
    "float8",
    "float8[]",
    "int2",
    "int2[]",
    "int4",
    "int4[]",
    "int8",
    "int8[]",
    "json",
    "jsonb",
    "jsonb[]",
    "name",
    "numeric",
    "numeric[]",
    "text",
    "text[]",
    "timestamp",
    "timestamp[]",
    "timestamptz",
    "timestamptz[]",
    "uuid",
    "uuid[]",
    "varchar",
    "varchar[]",
    "name[]",
];

/// Whether the driver reads values of this type from text as it does from the binary format.
///
/// It takes the text `NULL` in an array for a null, in quotes or not, and the format of `bytea` is a setting.
pub(in crate::pg) fn is_read_from_text(type_info: &PgTypeInfo) -> bool {
    const OTHERWISE: [&str; 5] = ["bytea", "jsonb[]", "name[]", "text[]", "varchar[]"];
    match known_type(type_info) {
        Some(known) => !OTHERWISE.contains(&known),
        None => matches!(type_info.kind(), PgTypeKind::Enum(_)),
    }
}

fn written(sql_type: &'static str, bytes: &[u8]) -> Option<Value> {
    match sql_type.strip_suffix("[]") {
        Some(element) => Some(Value::free(sql_type, array(element, bytes)?)),
        None if sql_type == "bytea" => Some(Value::bytes(bytes)),
        None => Some(Value::free(sql_type, scalar(sql_type, bytes)?)),
    }
}

fn scalar(sql_type: &str, bytes: &[u8]) -> Option<String> {
    match sql_type {
        "bool" => Some((bytes != [0]).to_string()),
        "int2" => Some(i16::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "int4" => Some(i32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "int8" => Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "float4" => Some(f32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "float8" => Some(f64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "uuid" => Some(Uuid::from_slice(bytes).ok()?.to_string()),
        "text" | "varchar" | "name" | "json" => String::from_utf8(bytes.to_vec()).ok(),
        "jsonb" => match bytes {
            // The version of the format.
            [1, json @ ..] => String::from_utf8(json.to_vec()).ok(),
            _ => None,
        },
        "date" => date(i32::from_be_bytes(bytes.try_into().ok()?)),
        "timestamp" => timestamp(bytes, false),
        "timestamptz" => timestamp(bytes, true),
        "numeric" => numeric(bytes),
        _ => None,
    }
}

/// The first day of Postgres's calendar.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a day of the calendar");

/// Days since the [`EPOCH`].
fn date(days: i32) -> Option<String> {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let date = if days < 0 { EPOCH - distance } else { EPOCH.checked_add_days(distance)? };
    has_four_digits(date.year()).then(|| date.to_string())
}

/// Microseconds since the [`EPOCH`].
fn timestamp(bytes: &[u8], has_zone: bool) -> Option<String> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    let epoch = EPOCH.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros();
    let time = DateTime::<Utc>::from_timestamp_micros(micros.checked_add(epoch)?)?;
    let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let text = if has_zone { text.as_str() } else { text.trim_end_matches('Z') };
    has_four_digits(time.year()).then(|| text.to_owned())
}

/// Whether Postgres reads the year as it is written here.
fn has_four_digits(year: i32) -> bool {
    (1..=9999).contains(&year)
}

/// Groups of four decimal digits, the first of which counts `10000 ^ weight`.
fn numeric(bytes: &[u8]) -> Option<String> {
    const NEGATIVE: u16 = 0x4000;
    let mut fields = bytes.chunks_exact(2).map(|field| u16::from_be_bytes([field[0], field[1]]));
    let (count, weight) = (fields.next()?, fields.next()?.cast_signed());
    let (sign, scale) = (fields.next()?, fields.next()?);
    if sign != 0 && sign != NEGATIVE {
        return None; // `NaN` and the infinities.
    }
    let digits: Vec<u16> = fields.take(usize::from(count)).collect();
    let group = |power: i32| {
        let place = usize::try_from(i32::from(weight) - power).ok();
        place.and_then(|place| digits.get(place)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    for power in (0..=i32::from(weight.max(0))).rev() {
        _ = write!(text, "{:04}", group(power));
    }
    if scale > 0 {
        let groups = i32::from(scale.div_ceil(4));
        let mut fraction = String::new();
        for power in 1..=groups {
            _ = write!(fraction, "{:04}", group(-power));
        }
        fraction.truncate(usize::from(scale));
        _ = write!(text, ".{fraction}");
    }
    Some(text)
}

/// An array of one dimension, or none.
fn array(element: &str, mut bytes: &[u8]) -> Option<String> {
    let dimensions = i32_of(&mut bytes)?;
    let (_has_nulls, _element_oid) = (i32_of(&mut bytes)?, i32_of(&mut bytes)?);
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = i32_of(&mut bytes)?;
            // Counted from one, as everywhere in SQL.
            (i32_of(&mut bytes)? == 1).then_some(count)?
        }
        _ => return None,
    };
    let mut text = String::from("{");
    for place in 0..count {
        if place > 0 {
            text.push(',');
        }
        match usize::try_from(i32_of(&mut bytes)?) {
            Err(_) => text.push_str("NULL"),
            Ok(length) => {
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                text.push('"');
                for char in scalar(element, value)?.chars() {
                    if matches!(char, '"' | '\\') {
                        text.push('\\');
                    }
                    text.push(char);
                }
                text.push('"');
            }
        }
    }
    text.push('}');
    Some(text)
}

fn i32_of(bytes: &mut &[u8]) -> Option<i32> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql<T>(value: T) -> String
    where
        T: Encode<'static, Postgres> + Type<Postgres>,
    {
        literal(&value).expect("a known type").to_string()
    }

    fn number(weight: i16, negative: bool, scale: u16, digits: &[u16]) -> Option<String> {
        let sign = if negative { 0x4000 } else { 0 };
        let count = u16::try_from(digits.len()).unwrap();
        let fields = [count, weight.cast_unsigned(), sign, scale].into_iter();
        let bytes: Vec<u8> =
            fields.chain(digits.iter().copied()).flat_map(u16::to_be_bytes).collect();
        numeric(&bytes)
    }

    #[test]
    fn built_in_types_are_written_as_postgres_reads_them() {
        assert_eq!(sql(7_i32), "'7'");
        assert_eq!(sql(-7_i64), "'-7'");
        assert_eq!(sql(true), "'true'");
        assert_eq!(sql(Option::<i16>::None), "null");
        assert_eq!(sql("plain"), "'plain'");
        assert_eq!(sql(vec![1_u8, 255]), "decode('01ff', 'hex')");
        assert_eq!(sql(vec![1_i32, 2]), r#"'{"1","2"}'"#);
        assert_eq!(sql(Vec::<Uuid>::new()), "'{}'");
        assert_eq!(sql(vec![Some("a".to_owned()), None]), r#"'{"a",NULL}'"#);
        let time = DateTime::parse_from_rfc3339("1999-12-31T23:59:59.5Z").unwrap().to_utc();
        assert_eq!(sql(time), "'1999-12-31T23:59:59.500000Z'");
        assert_eq!(sql(NaiveDate::from_ymd_opt(1999, 12, 31).unwrap()), "'1999-12-31'");
        assert!(sql(sqlx::types::Json(vec!["'"])).ends_with("::jsonb"));
    }

    #[test]
    fn decimal_numbers_keep_their_scale() {
        assert_eq!(number(0, false, 0, &[7]).as_deref(), Some("0007"));
        assert_eq!(number(1, true, 2, &[12, 3456, 7800]).as_deref(), Some("-00123456.78"));
        assert_eq!(number(-2, false, 8, &[1]).as_deref(), Some("0000.00000001"));
        assert_eq!(number(0, false, 3, &[]).as_deref(), Some("0000.000"));
        assert_eq!(numeric(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None, "not a number");
    }

    #[test]
    fn other_types_have_no_text_here() {
        assert!(literal(&std::time::Duration::from_secs(1)).is_none(), "an interval");
        assert!(literal(&NaiveDate::MAX).is_none(), "a year with six digits");
    }
}
