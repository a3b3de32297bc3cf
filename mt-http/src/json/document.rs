//! Bytes to a JSON object, with the traps that serde leaves open closed.
//!
//! serde keeps the last of two members of one name and does not say so; a NUL in a string passes
//! until Postgres refuses it. Both are found here, at any level of the body, and reported as
//! fields once the whole text is known to be JSON.

use std::fmt;

use mt_tower::problem::{FieldError, Problem};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::problems::{invalid_fields, invalid_request};

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 128;
/// The most findings that are reported: an answer should not outgrow the request.
const MAX_FINDINGS: usize = 16;
/// The longest pointer that is reported; what lies deeper is reported of its ancestor.
const MAX_POINTER: usize = 512;

/// Reads one JSON object.
pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    if bytes.is_empty() {
        return Err(invalid_request("the body is empty"));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_invalid| invalid_request("the body is not UTF-8"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // `Node` counts for itself, to `MAX_DEPTH` and not one less.
    deserializer.disable_recursion_limit();
    let mut findings = Vec::new();
    let root = Node { pointer: String::new(), depth: 0, findings: &mut findings };
    let value = root
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| invalid_request(explain(&error)))?;
    let Value::Object(members) = value else {
        return Err(invalid_fields(vec![FieldError::new("", "must be an object")]));
    };
    if findings.is_empty() { Ok(members) } else { Err(invalid_fields(findings)) }
}

/// Says where, and what of the grammar; the parser's own words quote nothing of the text.
fn explain(error: &serde_json::Error) -> String {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    format!("the body is not JSON: {what} at line {} column {}", error.line(), error.column())
}

/// Appends a reference token to a JSON Pointer (RFC 6901 §3).
pub(super) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// Reports `detail` of `pointer`, or of its nearest ancestor that is short enough to name.
pub(super) fn finding(pointer: &str, detail: impl Into<String>) -> FieldError {
    let mut named = pointer;
    while named.len() > MAX_POINTER {
        named = named.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    FieldError::new(named, detail)
}

/// Reads one value and what is in it.
struct Node<'f> {
    pointer: String,
    depth: usize,
    findings: &'f mut Vec<FieldError>,
}

impl Node<'_> {
    fn child(&mut self, token: &str) -> Node<'_> {
        let mut pointer = self.pointer.clone();
        push_token(&mut pointer, token);
        Node { pointer, depth: self.depth, findings: self.findings }
    }

    fn find(&mut self, detail: &str) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding(&self.pointer, detail));
        }
    }

    fn descend<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(E::custom("nested deeper than 128 levels"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(mut self, text: &str) -> Result<Value, E> {
        if text.contains('\0') {
            self.find("must not hold the character U+0000");
        }
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.descend()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.child(&items.len().to_string()))? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.descend()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let mut child = self.child(&name);
            if members.contains_key(&name) {
                child.find("must not be given twice");
            }
            if name.contains('\0') {
                child.find("must not be named with the character U+0000");
            }
            let value = map.next_value_seed(child)?;
            members.insert(name, value);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &[u8]) -> (u16, Vec<String>) {
        let problem = parse(body).unwrap_err();
        let json = problem.status().as_u16();
        (json, problem.errors().iter().map(|error| error.pointer.clone()).collect())
    }

    #[test]
    fn what_is_not_json_is_a_bad_request() {
        for body in [
            b"".as_slice(),
            b" ",
            b"{",
            b"{}x",
            b"{} {}",
            b"nul",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":NaN}",
            b"{\"a\":1e999}",
            b"{\"a\":01}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\\udc00\\ud800\"}",
            b"{\"a\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\n\"}",
            // A duplicate does not hide that the rest is broken.
            b"{\"a\":1,\"a\":2",
        ] {
            assert_eq!(refusal(body), (400, vec![]), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_is_json_but_no_object_or_not_clean_is_about_fields() {
        for (body, pointers) in [
            ("[]", &[""][..]),
            ("null", &[""]),
            ("\"a\"", &[""]),
            (r#"{"a":1,"a":1}"#, &["/a"]),
            (r#"{"a":1,"\u0061":1}"#, &["/a"]),
            (r#"{"a":{"b":[0,{"c/~":1,"c/~":2}]}}"#, &["/a/b/1/c~1~0"]),
            (r#"{"a":"x\u0000","b":["\u0000"]}"#, &["/a", "/b/0"]),
            (r#"{"\u0000":1}"#, &["/\0"]),
        ] {
            let pointers = pointers.iter().map(ToString::to_string).collect();
            assert_eq!(refusal(body.as_bytes()), (422, pointers), "{body}");
        }
    }

    #[test]
    fn one_hundred_and_twenty_eight_levels_are_read() {
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(parse(nested(128).as_bytes()).is_ok());
        assert_eq!(refusal(nested(129).as_bytes()), (400, vec![]));
        assert_eq!(refusal("[".repeat(60_000).as_bytes()), (400, vec![]));
    }

    #[test]
    fn findings_and_pointers_are_bounded() {
        let many = format!("{{{}}}", vec![r#""a":1"#; 5000].join(","));
        assert_eq!(refusal(many.as_bytes()).1.len(), MAX_FINDINGS);
        let long = "k".repeat(60_000);
        let deep = format!(r#"{{"a":{{"{long}":"\u0000"}}}}"#);
        assert_eq!(refusal(deep.as_bytes()).1, ["/a"]);
    }
}
