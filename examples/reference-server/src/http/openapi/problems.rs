//! Problems as responses and as schemas.

use std::collections::BTreeMap;

use salvo_oapi::schema::{AdditionalProperties, Array, BasicType, Object, OneOf, Ref};
use salvo_oapi::{Components, Content, Operation, RefOr, Response};
use serde_json::{Value, json};

use super::describe::{header, text};
use crate::http::problems::{self, ALL, Kind};

/// What any request may be answered with: refused for its head, or failed.
const ALWAYS: [&Kind; 3] =
    [&problems::TOO_LARGE, &problems::HEADERS_TOO_LARGE, &problems::INTERNAL];

/// How `kind` is noted among the responses, until [`settle`].
pub(super) fn note(kind: &Kind) -> String {
    format!("{} {}", kind.status.as_u16(), kind.code)
}

/// Makes one response a status of the problems that were noted, and says of every response what every
/// answer has.
pub(super) fn settle(operation: &mut Operation, components: &mut Components) {
    let mut by_status: BTreeMap<u16, Vec<&'static Kind>> = BTreeMap::new();
    let noted: Vec<String> = operation.responses.keys().cloned().collect();
    for kind in ALL.iter().copied() {
        let note = note(kind);
        let is_always = ALWAYS.iter().any(|always| always.code == kind.code);
        if is_always || noted.contains(&note) {
            by_status.entry(kind.status.as_u16()).or_default().push(kind);
        }
        operation.responses.remove(&note);
    }
    for (_, response) in operation.responses.iter_mut() {
        if let RefOr::Type(response) = response {
            response.headers.insert("x-request-id".to_owned(), request_id());
        }
    }
    for (status, kinds) in by_status {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        let name = names.join("Or");
        components.responses.insert(&name, response(&kinds));
        for kind in kinds {
            components.schemas.insert(kind.name, schema(kind));
        }
        operation.responses.insert(status.to_string(), Ref::from_response_name(name));
    }
}

fn request_id() -> salvo_oapi::Header {
    header(
        "The id of the request in the server's log. A client's own id is kept if it has 1 to 128 characters of `[A-Za-z0-9._-]`.",
    )
}

fn response(kinds: &[&Kind]) -> Response {
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title).collect();
    let content = match kinds {
        [kind] => Content::new(Ref::from_schema_name(kind.name)),
        several => Content::new(
            several
                .iter()
                .fold(OneOf::new(), |any, kind| any.item(Ref::from_schema_name(kind.name))),
        ),
    };
    let examples = kinds.iter().map(|kind| {
        (kind.code, salvo_oapi::Example::new().summary(kind.title).value(example(kind)))
    });
    let content = content.extend_examples(examples);
    let response = Response::new(titles.join(", or: "))
        .add_content("application/problem+json", content)
        .add_header("x-request-id", request_id());
    let headers: &[(&str, &str)] = match kinds[0].status.as_u16() {
        401 => &[(
            "www-authenticate",
            "`Bearer`, with `error=\"invalid_token\"` if the request had a token.",
        )],
        429 => &[
            ("retry-after", "Seconds to wait."),
            ("ratelimit", "The rest of the quota (draft-ietf-httpapi-ratelimit-headers-10)."),
            ("ratelimit-policy", "The quota."),
        ],
        503 => &[("retry-after", "Seconds to wait.")],
        _ => &[],
    };
    headers.iter().fold(response, |response, (name, description)| {
        response.add_header(*name, header(description).required(true))
    })
}

/// The document of one kind: its constants, and what an occurrence may say.
fn schema(kind: &Kind) -> Object {
    let constant = |value: Value| Object::new().enum_values([value]);
    let constant_text = |value: &str| constant(json!(value)).schema_type(BasicType::String);
    let status = constant(json!(kind.status.as_u16())).schema_type(BasicType::Integer);
    let mut schema = Object::new()
        .description(kind.explanation)
        .property("type", constant_text(&kind.uri()))
        .property("title", constant_text(kind.title))
        .property("status", status)
        .property("code", constant_text(kind.code))
        .property("request_id", text().description("The `x-request-id` of the answer."))
        .property("detail", text().description("An explanation of this occurrence."))
        .additional_properties(AdditionalProperties::FreeForm(false));
    for name in ["type", "title", "status", "code", "request_id"] {
        schema = schema.required(name);
    }
    match kind.code {
        "invalid-fields" => schema.property("errors", errors()).required("errors"),
        "invalid-request" => schema.property("errors", errors()),
        "cap-reached" => schema
            .property("resource", text().description("The name of the capped resource."))
            .property("cap", Object::with_type(BasicType::Integer).minimum(0))
            .required("resource")
            .required("cap"),
        "already-subscribed" => schema
            .property("portal", text().description("The path to POST to for the customer portal."))
            .required("portal"),
        _ => schema,
    }
}

fn errors() -> Array {
    let pointer = "A JSON Pointer into the body (RFC 6901), or `?name` for a query parameter.";
    let error = Object::new()
        .property("pointer", text().description(pointer))
        .required("pointer")
        .property(
            "detail",
            text().description("The values that the field takes, or what is wrong with this one."),
        )
        .required("detail")
        .additional_properties(AdditionalProperties::FreeForm(false));
    Array::new().items(error).min_items(1)
}

fn example(kind: &Kind) -> Value {
    let mut example = json!({
        "type": kind.uri(),
        "title": kind.title,
        "status": kind.status.as_u16(),
        "code": kind.code,
        "request_id": "019398a0-5f57-7c8a-a0b4-1d5c0b5e7f11",
    });
    match kind.code {
        "invalid-fields" => {
            example["errors"] = json!([{"pointer": "/name", "detail": "is required"}]);
        }
        "cap-reached" => {
            example["detail"] = json!("the plan allows at most 3 projects");
            example["resource"] = json!("projects");
            example["cap"] = json!(3);
        }
        "already-subscribed" => {
            let org = "019398a0-5f57-7c8a-a0b4-1d5c0b5e7f12";
            example["portal"] = json!(format!("/orgs/{org}/billing/portal"));
        }
        _ => {}
    }
    example
}
