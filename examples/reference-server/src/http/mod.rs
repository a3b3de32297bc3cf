//! The HTTP side that all routes share.
//!
//! | module | holds |
//! | --- | --- |
//! | [`service`] | the service around a router, the listening socket, the graceful stop |
//! | `shell` | the outermost handler: what is true of every answer |
//! | `method` | what is refused before routing: methods that a path does not have |
//! | [`problem`], [`problems`] | the error type of handlers, and the catalogue of problems |
//! | [`json`], [`fields`], [`body_limits`] | bodies as arguments of handlers |
//! | [`path`] | ids and names in paths |
//! | [`text_enum`] | values of text enums, in answers |
//! | [`answer`], [`etag`] | answers that tell where and in which state something is |
//! | [`openapi`] | the document of what a router offers |
//! | [`operations`] | what a router offers, for tests |
//! | `guard` | guards in the words of this server |
//! | [`caller`] | the caller, and their request for access, as arguments of a handler |
//! | [`page`], [`query`] | `limit` and `cursor`, and other query parameters |
//! | [`headers`], `cors` | headers in and out |
//!
//! Nothing here knows the product or the database.

pub mod answer;
pub mod body_limits;
pub mod caller;
mod cors;
pub mod etag;
pub mod fields;
pub(crate) mod guard;
pub mod headers;
pub mod json;
mod method;
pub mod openapi;
pub mod operations;
pub mod page;
pub mod path;
pub mod problem;
pub mod problems;
pub mod query;
pub mod service;
mod shell;
pub mod text_enum;

/// What `value` is as JSON.
fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("text, numbers and times serialize")
}
