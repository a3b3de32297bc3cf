//! The OpenAPI document: that it is complete, and that the server conforms to it.

pub(crate) mod conformance;
mod document;
mod fuzz;
