//! What is refused on the head of a request alone, before anything is routed or read.

use salvo::Request;
use salvo::http::header::CONTENT_LENGTH;

use super::problem::ApiError;
use super::problems;

/// The most header fields in a request.
const MAX_FIELDS: usize = 64;
/// The longest head in bytes, from the request line to the empty line, both included.
const MAX_BYTES: usize = 16 * 1024;

/// Refuses a head that is too large.
///
/// hyper has limits of its own, but answers them with an empty body; they are set wider, so that
/// only what is absurd meets them.
pub(super) fn check_size(req: &Request) -> Result<(), ApiError> {
    let fields = req.headers().len();
    if fields > MAX_FIELDS || size(req) > MAX_BYTES {
        return Err(ApiError::new(&problems::HEADERS_TOO_LARGE));
    }
    Ok(())
}

fn size(req: &Request) -> usize {
    // `GET /path HTTP/1.1\r\n`, `name: value\r\n` each, `\r\n`. HTTP/2 has its own framing; the
    // same arithmetic is as good a measure there.
    let target = req.uri().path_and_query().map_or(1, |target| target.as_str().len());
    let request_line = req.method().as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len();
    let fields = req.headers().iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    request_line + fields + "\r\n".len()
}

/// Refuses a body that says itself that it is longer than `limit` bytes.
pub(super) fn check_declared_length(req: &Request, limit: u64) -> Result<(), ApiError> {
    let declared = req.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.map(str::parse::<u64>) {
        Some(Ok(length)) if length > limit => Err(ApiError::new(&problems::TOO_LARGE)),
        _ => Ok(()),
    }
}

/// Whether a raw path is in its one spelling.
///
/// salvo's router decodes percent-encoding and skips empty segments, so `/a`, `/a/`, `//a` and
/// `/%61` would all be one route. Every check that looks at the raw path (a proxy's, a log's, a
/// guard's) would see four. No path of this API needs an escape.
pub(super) fn is_canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false; // `*`, or the empty path of CONNECT
    };
    rest.is_empty()
        || (!rest.contains('%')
            && rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use salvo::http::HeaderValue;

    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for path in ["/", "/health", "/orgs/0192/projects", "/a.b/..c", "/.well-known"] {
            assert!(is_canonical(path), "{path}");
        }
        for path in [
            "", "*", "a", "/a/", "//a", "//", "/a//b", "/./a", "/a/.", "/../a", "/a/..", "/a%2fb",
            "/%61", "/a%", "/a%00",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
    }

    fn request(target: &str, fields: usize, padding: usize) -> Request {
        let mut req = Request::new();
        *req.uri_mut() = target.parse().unwrap();
        for _ in 0..fields {
            req.headers_mut().append("a", HeaderValue::from_static("b"));
        }
        req.headers_mut().append("p", HeaderValue::try_from("x".repeat(padding)).unwrap());
        req
    }

    #[test]
    fn both_limits_are_inclusive() {
        assert!(check_size(&request("/", MAX_FIELDS - 1, 0)).is_ok());
        assert!(check_size(&request("/", MAX_FIELDS, 0)).is_err());
        let bare = "GET / HTTP/1.1\r\np: \r\n\r\n".len();
        assert!(check_size(&request("/", 0, MAX_BYTES - bare)).is_ok());
        assert!(check_size(&request("/", 0, MAX_BYTES - bare + 1)).is_err());
        assert!(check_size(&request("/?q=1", 0, MAX_BYTES - bare)).is_err());
    }

    #[test]
    fn a_declared_length_is_believed() {
        let mut req = Request::new();
        assert!(check_declared_length(&req, 10).is_ok());
        for (declared, fits) in [("10", true), ("11", false), ("0", true)] {
            req.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(declared));
            assert_eq!(check_declared_length(&req, 10).is_ok(), fits, "{declared}");
        }
    }
}
