//! What guards have to say in the answer.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// Headers for the answer, be it the service's or a refusal.
///
/// ```
/// use http::{HeaderMap, HeaderName, HeaderValue};
/// use mt_tower::AnswerHeaders;
///
/// let mut said = AnswerHeaders::new();
/// said.add(HeaderName::from_static("x-served-by"), HeaderValue::from_static("acme"));
/// let mut answer = HeaderMap::new();
/// said.apply(&mut answer);
/// assert_eq!(answer["x-served-by"], "acme");
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnswerHeaders(Vec<(HeaderName, HeaderValue)>);

impl AnswerHeaders {
    /// Nothing to say yet, and nothing allocated.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a header, beside others of its name.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves the headers to those of an answer, replacing none of them.
    pub fn apply(self, answer: &mut HeaderMap) {
        for (name, value) in self.0 {
            answer.append(name, value);
        }
    }
}

impl IntoIterator for AnswerHeaders {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
