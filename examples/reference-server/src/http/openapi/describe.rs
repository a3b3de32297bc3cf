//! Descriptions of operations, by the arguments and answers of handlers.

use mt_core::text_enum::TextEnum;
use salvo_oapi::schema::{BasicType, KnownFormat, Object, SchemaFormat};
use salvo_oapi::security::SecurityRequirement;
use salvo_oapi::{
    Components, Content, Header, Operation, Parameter, ParameterIn, RefOr, RequestBody, Required,
    Response, Responses, Schema, ToSchema,
};

use crate::http::problems::Kind;

/// Adds `kinds` to the problems that the operation may answer with.
///
/// Several arguments may add problems of one status. They are noted one by one, and become one response for
/// each status when the document is put together.
pub fn may(operation: &mut Operation, kinds: &[&'static Kind]) {
    operation.responses.append(&mut noted(kinds));
}

/// Returns the notes of `kinds`, for `responses(…)` of a handler.
#[must_use]
pub fn noted(kinds: &[&'static Kind]) -> Responses {
    kinds.iter().map(|kind| (super::problems::note(kind), Response::new(kind.title))).collect()
}

/// Adds a security scheme that the operation needs.
pub fn needs(operation: &mut Operation, scheme: &str) {
    let needed = SecurityRequirement::new(scheme, Vec::<String>::new());
    operation.securities.get_or_insert_default().push(needed);
}

/// Adds a parameter, which is optional unless it is in the path.
pub fn takes(
    operation: &mut Operation,
    location: ParameterIn,
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) {
    let required = match location {
        ParameterIn::Path => Required::True,
        _ => Required::False,
    };
    operation.parameters.insert(
        Parameter::new(name)
            .location(location)
            .required(required)
            .description(description)
            .schema(schema),
    );
}

/// Sets the request body, a `T` as JSON.
pub fn takes_json<T: ToSchema>(components: &mut Components, operation: &mut Operation) {
    let content = Content::new(T::to_schema(components));
    let body = RequestBody::new().add_content("application/json", content);
    operation.request_body = Some(body.required(Required::True));
}

/// Adds a response with a `T` as JSON.
pub fn gives_json<T: ToSchema>(
    components: &mut Components,
    operation: &mut Operation,
    status: &str,
    description: &str,
    headers: &[(&str, &str)],
) {
    let content = Content::new(T::to_schema(components));
    let response = Response::new(description).add_content("application/json", content);
    gives(operation, status, response, headers);
}

/// Adds a response with these headers.
pub fn gives(
    operation: &mut Operation,
    status: &str,
    response: Response,
    headers: &[(&str, &str)],
) {
    let with_headers = headers.iter().fold(response, |response, (name, description)| {
        response.add_header(*name, header(description))
    });
    operation.responses.insert(status, with_headers);
}

/// Returns a header of text.
#[must_use]
pub fn header(description: &str) -> Header {
    Header::new(text()).required(true).description(description)
}

/// Returns the schema of any text.
#[must_use]
pub fn text() -> Object {
    Object::with_type(BasicType::String)
}

/// Returns the schema of an id.
#[must_use]
pub fn id() -> Object {
    text().format(SchemaFormat::KnownFormat(KnownFormat::Uuid))
}

/// Returns the schema of a text that matches a pattern.
#[must_use]
pub fn pattern(pattern: &str) -> Object {
    text().pattern(pattern)
}

/// Returns the schema of one of the words of `W`.
#[must_use]
pub fn words<W: TextEnum>() -> Object {
    text().enum_values(W::ALL.iter().map(|word| word.as_str()))
}

/// Implements `ToSchema` and `ComposeSchema` for a type whose schema stands where it is used.
#[macro_export]
macro_rules! inline_schema {
    ([$($param:ident: $bound:path),*] $type:ty => $schema:expr) => {
        impl<$($param: $bound),*> salvo_oapi::ToSchema for $type {
            fn to_schema(_: &mut salvo_oapi::Components) -> salvo_oapi::RefOr<salvo_oapi::Schema> {
                salvo_oapi::RefOr::from($schema)
            }
        }

        impl<$($param: $bound),*> salvo_oapi::ComposeSchema for $type {
            fn compose(
                _: &mut salvo_oapi::Components,
                _: Vec<salvo_oapi::RefOr<salvo_oapi::Schema>>,
            ) -> salvo_oapi::RefOr<salvo_oapi::Schema> {
                salvo_oapi::RefOr::from($schema)
            }
        }
    };
    ($type:ty => $schema:expr) => {
        $crate::inline_schema!([] $type => $schema);
    };
}
