//! Errors of single fields of a request.

/// An error of one field of the body, or of one query parameter: an item of a problem's `errors`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// A JSON Pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// The values that the field takes, or what is wrong with this one.
    pub detail: String,
}

impl FieldError {
    /// Creates the error of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}
