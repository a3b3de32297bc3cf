//! Every response that the test client (`support`) receives is compared with the OpenAPI document: status,
//! content type, headers and body.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use reference_server::routes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Answer;

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document(routes::document()));

/// The OpenAPI document.
pub(crate) struct Document(pub(crate) Value);

/// The one of the server.
pub(crate) fn document() -> &'static Document {
    &DOCUMENT
}

impl Document {
    /// Every path, method and description of what is there.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// `value`, or what it refers to.
    pub(crate) fn resolve<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            None => value,
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
        }
    }

    /// Returns a validator for `schema`, which may refer to other schemas.
    pub(crate) fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({"allOf": [schema], "components": self.0["components"]});
        jsonschema::draft202012::options().should_validate_formats(true).build(&whole).unwrap()
    }

    /// What is wrong with `answer` to such a request. Requests to what the document does not have, or that
    /// it could not know, are not part of the document.
    pub(crate) fn objection(&self, method: &Method, path: &str, answer: &Answer) -> Option<String> {
        let path = path.split('?').next().unwrap();
        let method = method.as_str().to_ascii_lowercase();
        let (template, _, operation) = self
            .operations()
            .filter(|(template, of, _)| *of == method && matches(template, path))
            .min_by_key(|(template, ..)| template.matches('{').count())?;
        let status = answer.status.to_string();
        let Some(response) = operation["responses"].get(&status) else {
            return Some(format!("{method} {template} is not said to answer {status}"));
        };
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            if header["required"] == true && !answer.headers.contains_key(name) {
                return Some(format!("{method} {template} answered {status} without `{name}`"));
            }
        }
        let Some(contents) = response["content"].as_object() else {
            let empty = answer.text.is_empty();
            return (!empty).then(|| format!("{method} {template} answered {status} with a body"));
        };
        let kind = answer.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        let Some(content) = contents.get(kind.split(';').next().unwrap()) else {
            return Some(format!("{method} {template} answered {status} as `{kind}`"));
        };
        if !kind.contains("json") {
            return None;
        }
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        let wrong = self.complaint(&content["schema"], &body)?;
        Some(format!("{method} {template} answered {status}: {wrong}: {body}"))
    }

    /// Returns the violations of `value`. Validators are cached, since compiling one is slow.
    pub(crate) fn complaint(&self, schema: &Value, value: &Value) -> Option<String> {
        static KEPT: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = kept.entry(schema.to_string()).or_insert_with(|| self.validator(schema));
        validator
            .validate(value)
            .err()
            .map(|error| format!("{error} at `{}`", error.instance_path()))
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(expected, found)| {
            expected == found || (expected.starts_with('{') && !found.is_empty())
        })
}

/// The control: answers that are not as they are described.
#[test]
fn undocumented_response_is_detected() {
    let answer = |status, kind: &str, text: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in [("content-type", kind), ("x-request-id", "r")] {
            headers.insert(name, value.parse().unwrap());
        }
        Answer { status, headers, text: text.to_owned() }
    };
    let about = |method, path, answer| DOCUMENT.objection(&method, path, &answer);
    let good = r#"{"status":"ok"}"#;
    assert_eq!(about(Method::GET, "/health", answer(200, "application/json", good)), None);
    assert_eq!(about(Method::GET, "/nowhere", answer(404, "text/plain", "")), None);
    for (wrong, found) in [
        (answer(418, "application/json", good), "418"),
        (answer(200, "text/html", good), "text/html"),
        (answer(200, "application/json", r#"{"status":1}"#), "status"),
        (answer(200, "application/json", "{}"), "status"),
        (answer(500, "application/problem+json", good), "type"),
    ] {
        let objection = about(Method::GET, "/health", wrong).unwrap();
        assert!(objection.contains(found), "{objection}");
    }
    let bare = Answer { headers: reqwest::header::HeaderMap::new(), ..answer(200, "", good) };
    assert!(about(Method::GET, "/health", bare).unwrap().contains("x-request-id"));
}
