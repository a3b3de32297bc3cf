//! The endpoints of `mt-http` in the document.

use salvo_oapi::{Components, Paths};
use serde_json::{Map, Value, json};

use crate::http::problem::in_our_words;

/// Adds the operations and the schemas of `document`, whose problems become those of the server's catalogue.
pub(super) fn add(document: &Value, paths: &mut Paths, components: &mut Components) {
    let mut operations = document["paths"].clone();
    let items = operations.as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in items.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(responses) = operation["responses"].as_object_mut() {
            *responses = noted(responses);
        }
    }
    let mut added: Paths = serde_json::from_value(operations).expect("an OpenAPI document");
    paths.append(&mut added);
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    for (name, schema) in schemas.filter(|(name, _)| *name != "Problem") {
        let schema = serde_json::from_value(schema.clone()).expect("a JSON schema");
        components.schemas.insert::<_, salvo_oapi::RefOr<salvo_oapi::Schema>>(name, schema);
    }
}

/// Returns the responses with a note in place of each problem, as handlers of the server note theirs.
fn noted(responses: &Map<String, Value>) -> Map<String, Value> {
    let mut noted = Map::new();
    for (status, response) in responses {
        match response["x-problem-codes"].as_array() {
            None => _ = noted.insert(status.clone(), response.clone()),
            Some(codes) => {
                for code in codes.iter().filter_map(Value::as_str) {
                    let note = format!("{status} {}", in_our_words(code));
                    noted.insert(note, json!({"description": code}));
                }
            }
        }
    }
    noted
}
