//! Headers that guards add to the response.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// Headers for the response, whether the service answers or a guard refuses.
///
/// ```
/// use http::{HeaderMap, HeaderName, HeaderValue};
/// use mt_tower::ResponseHeaders;
///
/// let mut added = ResponseHeaders::new();
/// added.append(HeaderName::from_static("x-served-by"), HeaderValue::from_static("acme"));
/// let mut headers = HeaderMap::new();
/// added.append_to(&mut headers);
/// assert_eq!(headers["x-served-by"], "acme");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders(Vec<(HeaderName, HeaderValue)>);

impl ResponseHeaders {
    /// Creates an empty list, which allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a header, beside others of the same name.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Moves the headers into those of a response, and replaces none of them.
    pub fn append_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            headers.append(name, value);
        }
    }
}

impl IntoIterator for ResponseHeaders {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
