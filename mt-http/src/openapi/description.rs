//! The description of one endpoint.

use serde_json::{Map, Value, json};

use super::schema::Schema;
use super::{BEARER, OPERATOR, id, problems, text, text_like};
use crate::Noun;
use crate::call::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY};
use crate::page::{DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT};

/// What an endpoint takes and answers.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    id: String,
    tag: &'static str,
    text: String,
    parameters: Vec<Value>,
    request: Option<Body>,
    responses: Vec<Response>,
    problems: Vec<&'static str>,
    security: Option<&'static str>,
    in_tenant: bool,
}

#[derive(Clone, Debug)]
struct Body {
    schema: Schema,
    is_inline: bool,
    example: Option<Value>,
}

#[derive(Clone, Debug)]
struct Response {
    status: u16,
    description: &'static str,
    content: Content,
    has_location: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Nothing,
    Json(Schema),
    Html,
}

impl Description {
    /// Starts a description. `text` is the summary, and after an empty line details.
    pub(crate) fn new(id: impl Into<String>, tag: &'static str, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            tag,
            text: text.into(),
            parameters: Vec::new(),
            request: None,
            responses: Vec::new(),
            problems: vec!["internal", "unavailable"],
            security: None,
            in_tenant: false,
        }
    }

    pub(crate) fn bearer(self) -> Self {
        Self { security: Some(BEARER), ..self }
    }

    pub(crate) fn operator(self) -> Self {
        Self { security: Some(OPERATOR), ..self }
    }

    pub(crate) fn in_tenant(self) -> Self {
        Self { in_tenant: true, ..self }
    }

    /// Adds problems that it may answer with.
    pub(crate) fn may(mut self, codes: &[&'static str]) -> Self {
        self.problems.extend(codes);
        self
    }

    /// Takes a JSON body.
    pub(crate) fn takes(mut self, schema: Schema) -> Self {
        self.request = Some(Body { schema, is_inline: false, example: None });
        self.may(&["invalid-request", "too-large", "unsupported-media-type", "invalid-fields"])
    }

    /// Takes a JSON body that is read as bytes.
    #[cfg(feature = "stripe")]
    pub(crate) fn takes_bytes(mut self, schema: Schema, example: Value) -> Self {
        self.request = Some(Body { schema, is_inline: true, example: Some(example) });
        self.may(&["invalid-request", "too-large"])
    }

    /// Takes an idempotency key.
    pub(crate) fn repeatable(mut self) -> Self {
        let mut key = text_like("^[!-~]+$");
        key["minLength"] = json!(1);
        key["maxLength"] = json!(MAX_IDEMPOTENCY_KEY);
        self.parameters.push(json!({
            "name": IDEMPOTENCY_KEY.as_str(), "in": "header", "required": false, "schema": key,
            "description": "The client's name for this request. Sent again with it and the same body \
                and within a day, the request is answered as it was the first time and not carried out.",
        }));
        self.may(&["idempotency-mismatch"])
    }

    /// Takes `limit` and `cursor`, and answers with a page of `item`.
    pub(crate) fn pages_of(mut self, item: &Schema) -> Self {
        self.parameters.push(json!({
            "name": "limit", "in": "query", "required": false,
            "description": "The largest number of items on the page.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        }));
        let mut cursor = text_like("^[A-Za-z0-9_-]+$");
        cursor["maxLength"] = json!(MAX_CURSOR);
        self.parameters.push(json!({
            "name": "cursor", "in": "query", "required": false, "schema": cursor,
            "description": "The `next_cursor` of the page before. Good for this very list.",
        }));
        self.gives(200, "A page of the list.", item.listing()).may(&["invalid-request"])
    }

    /// Takes an optional query parameter.
    pub(crate) fn query(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "query", "required": false, "schema": schema,
            "description": description,
        }));
        self.may(&["invalid-request"])
    }

    /// Takes an optional header.
    #[cfg(feature = "stripe")]
    pub(crate) fn header(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "schema": text(),
            "description": description,
        }));
        self
    }

    /// Takes an id in the path.
    pub(crate) fn path_id(self, name: &str, thing: &str) -> Self {
        self.path(name, &format!("The id of the {thing}."), &id())
    }

    /// Takes text in the path.
    #[cfg(feature = "stripe")]
    pub(crate) fn path_text(self, name: &str, description: &str) -> Self {
        self.path(name, description, &text())
    }

    fn path(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
            "description": description,
        }));
        self.may(&["not-found"])
    }

    /// Answers with JSON.
    pub(crate) fn gives(mut self, status: u16, description: &'static str, schema: Schema) -> Self {
        let content = Content::Json(schema);
        self.responses.push(Response { status, description, content, has_location: false });
        self
    }

    /// Answers 201 with the new resource and its path.
    pub(crate) fn creates(mut self, schema: Schema) -> Self {
        let (status, description) = (201, "Created.");
        let content = Content::Json(schema);
        self.responses.push(Response { status, description, content, has_location: true });
        self
    }

    /// Answers 204.
    pub(crate) fn gives_nothing(mut self) -> Self {
        let (status, description, content) = (204, "Done.", Content::Nothing);
        self.responses.push(Response { status, description, content, has_location: false });
        self
    }

    /// Answers with a page for people.
    pub(crate) fn gives_page(mut self) -> Self {
        let (status, description, content) = (200, "A page.", Content::Html);
        self.responses.push(Response { status, description, content, has_location: false });
        Self { problems: Vec::new(), ..self }
    }

    /// Renders the operation, and adds its schemas to `schemas`.
    pub(super) fn render(&self, noun: Noun, schemas: &mut Map<String, Value>) -> Value {
        let (summary, more) = match self.text.split_once("\n\n") {
            Some((summary, more)) => (summary, Some(more)),
            None => (self.text.as_str(), None),
        };
        let mut parameters = self.parameters.clone();
        if self.in_tenant {
            let tenant = format!("The id of the {}.", noun.one());
            parameters.push(json!({
                "name": noun.id_name(), "in": "path", "required": true, "schema": id(),
                "description": tenant,
            }));
        }
        let mut operation = json!({"operationId": self.id, "tags": [self.tag], "summary": summary});
        if let Some(more) = more {
            operation["description"] = json!(more);
        }
        if !parameters.is_empty() {
            operation["parameters"] = json!(parameters);
        }
        if let Some(scheme) = self.security {
            operation["security"] = json!([{scheme: []}]);
        }
        if let Some(Body { schema, is_inline, example }) = &self.request {
            let mut media = json!({"schema": schema.value()});
            if !is_inline {
                media = json!({"schema": named(schema, schemas)});
            }
            if let Some(example) = example {
                media["example"] = example.clone();
            }
            operation["requestBody"] =
                json!({"required": true, "content": {"application/json": media}});
        }
        let mut responses = Map::new();
        for response in &self.responses {
            response.render(&mut responses, schemas);
        }
        problems::add(&mut responses, &self.problems);
        operation["responses"] = Value::Object(responses);
        operation
    }
}

impl Response {
    fn render(&self, responses: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
        let mut response = json!({"description": self.description});
        match &self.content {
            Content::Nothing => {}
            Content::Html => response["content"] = json!({"text/html": {"schema": text()}}),
            Content::Json(schema) => {
                let schema = named(schema, schemas);
                response["content"] = json!({"application/json": {"schema": schema}});
            }
        }
        if self.has_location {
            response["headers"] = json!({"location": {
                "required": true, "schema": text(), "description": "The path of the new resource.",
            }});
        }
        responses.insert(self.status.to_string(), response);
    }
}

/// Adds `schema` and those that it refers to to the document, and returns a reference to it.
fn named(schema: &Schema, schemas: &mut Map<String, Value>) -> Value {
    for other in &schema.others {
        named(other, schemas);
    }
    schemas.insert(schema.name.clone(), schema.value());
    schema.reference()
}
