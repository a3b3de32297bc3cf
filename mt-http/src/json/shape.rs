//! A JSON object to a value of the type that a handler asked for, or what is wrong with which
//! member.

use mt_tower::problem::{FieldError, Problem};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::document::{finding, push_token};
use crate::problems::invalid_fields;

/// The most members that are reported at once.
const MAX_FINDINGS: usize = 16;

/// Reads `members` as a `T`.
///
/// serde stops at the first error. What it stopped at is noted and taken out, and the rest is
/// tried again, so that a form with three bad fields is told of three.
pub(super) fn fit<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, Problem> {
    let mut value = Value::Object(members);
    let mut errors: Vec<FieldError> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(fits) if errors.is_empty() => return Ok(fits),
            Ok(_) => break,
            Err(error) => error,
        };
        let (path, message) = (error.path(), error.inner().to_string());
        let (pointer, detail) = locate(path, &message);
        // A bad member, or one with something bad in it, was taken out and comes back as a missing one.
        let is_within = |held: &FieldError| {
            held.pointer
                .strip_prefix(&*pointer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = errors.iter().any(is_within);
        if !known {
            errors.push(finding(&pointer, detail));
        }
        if known || errors.len() == MAX_FINDINGS || !take_out(&mut value, path) {
            break;
        }
    }
    Err(invalid_fields(errors))
}

/// Where the error is and what to say of it, without quoting the value: it may be a secret, and it
/// may be long.
fn locate(path: &Path, message: &str) -> (String, String) {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => push_token(&mut pointer, key),
            Segment::Seq { index } => push_token(&mut pointer, &index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    if let Some(name) = quoted(message, "missing field ") {
        push_token(&mut pointer, name);
        return (pointer, "is required".to_owned());
    }
    if message.starts_with("unknown field ") {
        return (pointer, "is not a known field".to_owned());
    }
    let value_is_wrong = ["invalid type", "invalid value", "invalid length", "unknown variant"]
        .iter()
        .any(|start| message.starts_with(start));
    let detail = match message.rsplit_once(", expected ") {
        Some((_, expected)) if value_is_wrong => format!("must be {}", in_plain_words(expected)),
        _ => message.to_owned(),
    };
    (pointer, detail)
}

/// What was expected, in the words of JSON: serde names Rust's types.
fn in_plain_words(expected: &str) -> &str {
    const INTEGERS: [&str; 10] =
        ["i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32", "u64", "usize"];
    match expected {
        integer if INTEGERS.contains(&integer) => "a whole number in range",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        object if object.starts_with("struct ") => "an object",
        word if word.starts_with("enum ") || word == "string or map" => "a string",
        plain => plain,
    }
}

/// The name in backticks after `prefix`: serde offers it in the message only.
fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.strip_suffix('`')
}

/// Removes the top-level member that the error is in. `false` if the error is in none.
fn take_out(value: &mut Value, path: &Path) -> bool {
    let Some(Segment::Map { key }) = path.iter().next() else {
        return false;
    };
    value.as_object_mut().is_some_and(|members| members.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::from_slice;
    use crate::fields::{Email, Line};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is of interest")]
    struct Form {
        name: Line,
        email: Email,
        #[serde(default)]
        title: Option<Line>,
        count: u8,
        #[serde(default)]
        rows: Vec<Row>,
        #[serde(default)]
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is of interest")]
    struct Row {
        id: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    fn errors(body: &str) -> Vec<(String, String)> {
        let problem = from_slice::<Form>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), "invalid-fields", "{body}");
        let errors = problem.errors().iter();
        errors.map(|error| (error.pointer.clone(), error.detail.clone())).collect()
    }

    const REST: &str = r#""name":"n","email":"a@b","count":1"#;

    #[test]
    fn a_good_form_is_read() {
        from_slice::<Form>(format!("{{{REST}}}").as_bytes()).unwrap();
        let full = format!(r#"{{{REST},"title":null,"rows":[{{"id":1}}],"colour":"red"}}"#);
        from_slice::<Form>(full.as_bytes()).unwrap();
    }

    #[test]
    fn each_kind_of_error_names_its_field() {
        for (member, pointer, detail) in [
            (r#""x":1"#, "/x", "is not a known field"),
            (r#""a/b~":1"#, "/a~1b~0", "is not a known field"),
            (r#""title":5"#, "/title", "must be a string"),
            (r#""rows":[{"id":1},{"id":"2"}]"#, "/rows/1/id", "must be a whole number in range"),
            (r#""rows":[7]"#, "/rows/0", "must be an object"),
            (r#""rows":7"#, "/rows", "must be an array"),
            (r#""colour":7"#, "/colour", "must be a string"),
            (r#""rows":[{}]"#, "/rows/0/id", "is required"),
            (r#""rows":[{"id":1,"y":2}]"#, "/rows/0/y", "is not a known field"),
            (r#""colour":"s3cret""#, "/colour", "must be `red` or `green`"),
        ] {
            let found = errors(&format!("{{{REST},{member}}}"));
            assert_eq!(found, [(pointer.to_owned(), detail.to_owned())], "{member}");
        }
    }

    #[test]
    fn missing_fields_are_named() {
        assert_eq!(errors("{}"), [("/name".to_owned(), "is required".to_owned())]);
    }

    #[test]
    fn several_bad_values_are_listed_together() {
        let found = errors(r#"{"name":"","email":"ada","count":300,"x":0}"#);
        let mut pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/count", "/email", "/name", "/x"]);
    }
}
