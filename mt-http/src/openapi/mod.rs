//! The OpenAPI 3.1 document of the endpoints.
//!
//! Schemas are built and not derived, because names of members depend on what the service calls its tenants, and the words
//! of roles and plans on its model.

mod description;
mod problems;
mod schema;

use mt_core::access::AccessModel;
use serde_json::{Map, Value, json};

pub(crate) use self::description::Description;
pub(crate) use self::schema::{
    Schema, any, boolean, date_time, id, integer, list, nullable, text, text_like, words,
};
use crate::Noun;
use crate::operation::Operation;

/// The security scheme of users.
pub(crate) const BEARER: &str = "bearer";
/// The security scheme of operators.
pub(crate) const OPERATOR: &str = "operator";

/// Returns the document of `operations`.
pub(crate) fn document<'o, M: AccessModel>(
    operations: impl Iterator<Item = &'o Operation<M>>,
    noun: Noun,
) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        let described = operation.description.render(noun, &mut schemas);
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    schemas.insert("Problem".to_owned(), problems::schema());
    json!({
        "openapi": "3.1.0",
        "info": {"title": "mt-http", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                BEARER: {"type": "http", "scheme": "bearer", "description": "An access token."},
                OPERATOR: {"type": "http", "scheme": "bearer", "description": "The operators' token."},
            },
        },
    })
}
