//! Entity tags and the conditions that name them (RFC 9110 §8.8.3, §13.1).
//!
//! A tag is a digest of the representation: it changes exactly when what is shown changes, whatever
//! changed it. Compare it inside the transaction, on a row that is held, so that of two changes to
//! what both have seen the second is told.
//!
//! ```
//! use http::HeaderMap;
//! use http::header::IF_MATCH;
//! use mt_http::etag::{ETag, IfMatch};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(IF_MATCH, ETag::of(&"seen").to_header());
//! let condition = IfMatch::read(&headers);
//! assert!(condition.check(&ETag::of(&"seen")).is_ok());
//! assert_eq!(condition.check(&ETag::of(&"changed since")).unwrap_err().status(), 412);
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use mt_tower::problem::Problem;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::problems::precondition_failed;

/// How much of a digest makes a tag.
const TAG_BYTES: usize = 16;

/// A strong entity tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ETag(String);

impl ETag {
    /// Returns the tag of what `shown` is as JSON.
    ///
    /// # Panics
    ///
    /// When `shown` cannot be JSON, such as a map whose keys are not texts.
    #[must_use]
    pub fn of<T: Serialize>(shown: &T) -> Self {
        Self::of_json(&serde_json::to_vec(shown).expect("text, numbers and times serialize"))
    }

    /// Returns the tag of a representation.
    #[must_use]
    pub fn of_json(json: &[u8]) -> Self {
        let digest = Sha256::digest(json);
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..TAG_BYTES])))
    }

    /// Returns the tag as the value of a header.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("base64 between quotes")
    }
}

/// `If-Match`: change it only if it is what the client has seen. Absent: change it.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<Tags>);

/// `If-None-Match`: show it only if it is not what the client has. Absent: show it.
#[derive(Clone, Debug, Default)]
pub struct IfNoneMatch(Option<Tags>);

impl IfMatch {
    /// Reads the condition of a request.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        Self(Tags::of(headers, &IF_MATCH))
    }

    /// Lets the change go on.
    ///
    /// # Errors
    ///
    /// `precondition-failed` unless `current` is among the tags. A weak tag is not, and neither is what
    /// cannot be read: a request with a malformed condition must not run without it.
    pub fn check(&self, current: &ETag) -> Result<(), Problem> {
        match &self.0 {
            Some(tags) if !tags.name(current, Comparison::Strong) => Err(precondition_failed()),
            _ => Ok(()),
        }
    }
}

impl IfNoneMatch {
    /// Reads the condition of a request.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        Self(Tags::of(headers, &IF_NONE_MATCH))
    }

    /// Returns whether the client has `current` already.
    #[must_use]
    pub fn knows(&self, current: &ETag) -> bool {
        self.0.as_ref().is_some_and(|tags| tags.name(current, Comparison::Weak))
    }
}

/// What a condition lists.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Tags {
    Any,
    These(Vec<String>),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

impl Tags {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut tags = Vec::new();
        let mut any = false;
        let mut given = headers.get_all(name).iter().peekable();
        given.peek()?;
        for value in given {
            let text = value.to_str().unwrap_or_default().trim();
            any |= text == "*";
            tags.extend(split(text).into_iter().map(str::to_owned));
        }
        Some(if any { Self::Any } else { Self::These(tags) })
    }

    fn name(&self, tag: &ETag, comparison: Comparison) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|held| {
                let opaque = match comparison {
                    Comparison::Strong => held.as_str(),
                    Comparison::Weak => held.strip_prefix("W/").unwrap_or(held),
                };
                opaque == tag.0
            }),
        }
    }
}

/// The members of a list of tags. A comma may stand inside of quotes.
fn split(list: &str) -> Vec<&str> {
    let mut quoted = false;
    list.split(|char| {
        quoted ^= char == '"';
        char == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(values: &[&'static str]) -> Option<Tags> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_static(value));
        }
        Tags::of(&headers, &IF_MATCH)
    }

    #[test]
    fn a_tag_changes_with_what_is_shown() {
        let tag = ETag::of(&["a"]);
        assert_eq!(tag, ETag::of_json(br#"["a"]"#));
        assert_ne!(tag, ETag::of(&["b"]));
        assert_eq!(tag.to_header().len(), 24);
    }

    #[test]
    fn conditions_are_read_as_lists() {
        let tag = ETag("\"a,b\"".to_owned());
        for (values, strong, weak) in [
            (&["\"a,b\""][..], true, true),
            (&["\"x\" , \"a,b\""], true, true),
            (&["\"x\"", "\"a,b\""], true, true),
            (&["*"], true, true),
            (&["W/\"a,b\""], false, true),
            (&["\"x\""], false, false),
            (&["a,b"], false, false),
            (&[""], false, false),
            (&["\"a,b"], false, false),
        ] {
            let tags = tags(values);
            let named = |comparison| tags.as_ref().unwrap().name(&tag, comparison);
            assert_eq!(named(Comparison::Strong), strong, "{values:?}");
            assert_eq!(named(Comparison::Weak), weak, "{values:?}");
            assert_eq!(IfMatch(tags.clone()).check(&tag).is_ok(), strong, "{values:?}");
            assert_eq!(IfNoneMatch(tags.clone()).knows(&tag), weak, "{values:?}");
        }
        assert_eq!(tags(&[]), None);
        assert!(IfMatch(None).check(&tag).is_ok());
        assert!(!IfNoneMatch(None).knows(&tag));
    }
}
