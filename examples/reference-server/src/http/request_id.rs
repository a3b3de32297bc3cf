//! The id that ties a request to its answer and to its lines in the log.

use std::fmt;

use salvo::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, in the request's extensions for whoever needs to quote it.
///
/// A client's own id is kept if it is one header of 1 to 128 characters of `[A-Za-z0-9._-]`, which
/// is safe in a log and in JSON. Anything else is replaced by a fresh `UUIDv7`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's id where it is acceptable, else a fresh one.
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

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("both constructors hold to visible ASCII")
    }

    /// The id as the value of a header.
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
    fn anything_else_is_replaced() {
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
