//! An example of each body, by the name of its schema.
//!
//! They stand in one file, so that structs are not buried in them. A test compares each with its schema,
//! and misses none.

use std::sync::LazyLock;

use salvo_oapi::{Content, Operation, RefOr, Schema};
use serde_json::{Map, Value, json};

static EXAMPLES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("examples.json")).expect("a file of this crate")
});

/// Puts examples beside the schemas of an operation's bodies.
pub(super) fn attach(operation: &mut Operation) {
    let asked = operation.request_body.iter_mut().flat_map(|body| body.contents.values_mut());
    let answered = operation.responses.values_mut().filter_map(|response| match response {
        RefOr::Type(response) => Some(response.contents.values_mut()),
        RefOr::Ref(_) => None,
    });
    for content in asked.chain(answered.flatten()) {
        if content.example.is_none() {
            content.example = of(content);
        }
    }
}

fn of(content: &Content) -> Option<Value> {
    let Some(RefOr::<Schema>::Ref(schema)) = &content.schema else { return None };
    let name = schema.ref_location.rsplit('/').next()?;
    if let Some(example) = EXAMPLES.get(name) {
        return Some(example.clone());
    }
    let item = EXAMPLES.get(name.strip_suffix("Listing")?)?;
    Some(json!({"items": [item], "next_cursor": null}))
}
