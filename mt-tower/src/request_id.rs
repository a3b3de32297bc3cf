//! The id that ties a request to its response and to its lines in the log.
//!
//! The outermost layer of a service chooses it and puts it into the request's extensions; a
//! [`ProblemJson`](crate::problem::ProblemJson) shows it in `request_id`.
//!
//! ```
//! use http::HeaderMap;
//! use mt_tower::request_id::{RequestId, X_REQUEST_ID};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(X_REQUEST_ID, "abc-1".parse().unwrap());
//! assert_eq!(RequestId::choose(&headers).as_str(), "abc-1");
//! headers.insert(X_REQUEST_ID, "not an id".parse().unwrap());
//! assert_eq!(RequestId::choose(&headers).as_str().len(), 36);
//! ```

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the id, in requests and in responses.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request.
///
/// A client's own id is kept if it is one header of 1 to 128 characters of `[A-Za-z0-9._-]`, which
/// is safe in a log and in JSON. Anything else is replaced by a fresh `UUIDv7`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the client's id if it is acceptable, else a fresh one.
    #[must_use]
    pub fn choose(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(X_REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if acceptable(id.as_bytes()) => Self(id.clone()),
            _ => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let id = Uuid::now_v7().to_string();
        Self(HeaderValue::try_from(id).expect("a UUID is visible ASCII"))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("both constructors check for visible ASCII")
    }

    /// Returns the id as the value of a header.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn acceptable(id: &[u8]) -> bool {
    matches!(id.len(), 1..=128)
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(ids: &[&[u8]]) -> RequestId {
        let mut headers = HeaderMap::new();
        for id in ids {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        }
        RequestId::choose(&headers)
    }

    #[test]
    fn a_plain_id_is_kept() {
        let longest = [b'a'; 128];
        for id in [b"x".as_slice(), b"A-z_0.9", &longest] {
            assert_eq!(chosen(&[id]).as_str().as_bytes(), id);
        }
    }

    #[test]
    fn any_other_id_is_replaced() {
        let too_long = [b'a'; 129];
        for ids in [
            [].as_slice(),
            &[b"".as_slice()],
            &[b"a b"],
            &[b"a\tb"],
            &[b"\xff"],
            &[b"{\"a\"}"],
            &[&too_long],
            &[b"one", b"two"],
        ] {
            let id = chosen(ids);
            let uuid = Uuid::parse_str(id.as_str()).unwrap();
            assert_eq!(uuid.get_version_num(), 7, "{ids:?}");
        }
    }
}
