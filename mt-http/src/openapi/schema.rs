//! JSON Schemas of bodies.

use mt_core::text_enum::TextEnum;
use serde_json::{Map, Value, json};

/// The schema of a JSON object, with its name in the document.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(super) name: String,
    description: Option<&'static str>,
    properties: Map<String, Value>,
    required: Vec<String>,
    is_closed: bool,
    /// Schemas that this one refers to.
    pub(super) others: Vec<Schema>,
}

impl Schema {
    /// Starts an object without members.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            properties: Map::new(),
            required: Vec::new(),
            is_closed: false,
            others: Vec::new(),
        }
    }

    pub(crate) fn described(self, text: &'static str) -> Self {
        Self { description: Some(text), ..self }
    }

    /// Adds a member that is always there.
    pub(crate) fn with(mut self, name: impl Into<String>, schema: Value) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.properties.insert(name, schema);
        self
    }

    /// Adds a member that may be absent.
    pub(crate) fn optional(mut self, name: impl Into<String>, schema: Value) -> Self {
        self.properties.insert(name.into(), schema);
        self
    }

    /// Adds a member that is one of `other`.
    pub(crate) fn with_one(self, name: impl Into<String>, other: Schema) -> Self {
        let reference = other.reference();
        self.with(name, reference).referring_to(other)
    }

    /// Adds a member that is one of `other`, or null.
    pub(crate) fn with_one_or_null(self, name: impl Into<String>, other: Schema) -> Self {
        let reference = nullable(other.reference());
        self.with(name, reference).referring_to(other)
    }

    /// Adds a member that is a list of `other`.
    pub(crate) fn with_list(self, name: impl Into<String>, other: Schema) -> Self {
        let items = list(&other.reference());
        self.with(name, items).referring_to(other)
    }

    fn referring_to(mut self, other: Schema) -> Self {
        self.others.push(other);
        self
    }

    /// Returns a reference to the schema in the document.
    pub(super) fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.name)})
    }

    /// Refuses members that are not named.
    pub(crate) fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    /// Returns the schema, to stand within another one.
    pub(crate) fn value(&self) -> Value {
        let mut schema = json!({"type": "object", "properties": self.properties});
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        if self.is_closed {
            schema["additionalProperties"] = json!(false);
        }
        if let Some(description) = self.description {
            schema["description"] = json!(description);
        }
        schema
    }

    /// Returns the schema of a page of these.
    pub(crate) fn listing(&self) -> Self {
        let mut items = list(&self.reference());
        items["description"] = json!("The items, newest first.");
        let mut next = nullable(text());
        next["description"] = json!("The `cursor` of the next page; `null` on the last page.");
        Self::new(format!("{}Listing", self.name))
            .described("A page of a list.")
            .with("items", items)
            .with("next_cursor", next)
            .referring_to(self.clone())
    }
}

pub(crate) fn text() -> Value {
    json!({"type": "string"})
}

/// Text that matches a pattern.
pub(crate) fn text_like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

pub(crate) fn id() -> Value {
    json!({"type": "string", "format": "uuid"})
}

pub(crate) fn date_time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub(crate) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(crate) fn integer() -> Value {
    json!({"type": "integer"})
}

/// Any JSON object.
pub(crate) fn any() -> Value {
    json!({"type": "object"})
}

/// One of the words of `W`.
pub(crate) fn words<W: TextEnum>() -> Value {
    let words: Vec<_> = W::ALL.iter().map(|word| word.as_str()).collect();
    json!({"type": "string", "enum": words})
}

/// A list of these.
pub(crate) fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

/// The schema, or null.
pub(crate) fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        return schema;
    }
    json!({"anyOf": [schema, {"type": "null"}]})
}
