//! Checks of the head of a request, before it is routed or read.

use mt_tower::resolve_tenant::is_normal_path;
use salvo::Request;
use salvo::http::header::{CONTENT_LENGTH, HOST};
use salvo::http::uri::Authority;
use salvo::http::{HeaderValue, Version};

use super::problem::ApiError;
use super::problems;

/// The most header fields in a request.
const MAX_FIELDS: usize = 64;
/// The longest head in bytes, from the request line to the empty line, both included.
const MAX_BYTES: usize = 16 * 1024;

/// Refuses a head that is too large.
///
/// hyper has limits of its own and answers them with an empty body. They are set wider, so that only
/// absurd requests reach them.
pub(super) fn check_size(req: &Request) -> Result<(), ApiError> {
    let fields = req.headers().len();
    if fields > MAX_FIELDS || size(req) > MAX_BYTES {
        return Err(ApiError::new(&problems::HEADERS_TOO_LARGE));
    }
    Ok(())
}

fn size(req: &Request) -> usize {
    // `GET /path HTTP/1.1\r\n`, `name: value\r\n` each, `\r\n`.
    let target = req.uri().path_and_query().map_or(1, |target| target.as_str().len());
    let request_line = req.method().as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len();
    let fields = req.headers().iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    request_line + fields + "\r\n".len()
}

/// Refuses a request that does not name its host (RFC 9112 §3.2): in HTTP/1.1 without a `Host` header, and in
/// any version with two or with one that is not a host.
pub(super) fn check_host(req: &Request) -> Result<(), ApiError> {
    let mut hosts = req.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, None) if req.version() < Version::HTTP_11 => Ok(()),
        _ => Err(ApiError::invalid_request("a request has one `Host` header, which names a host")),
    }
}

/// Whether `value` is a host, with or without a port, and nothing else.
fn is_host(value: &HeaderValue) -> bool {
    let authority = value.to_str().ok().and_then(|value| value.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let after_host = authority.as_str().strip_prefix(authority.host());
        let port = after_host
            .and_then(|rest| if rest.is_empty() { Some("") } else { rest.strip_prefix(':') });
        !authority.host().is_empty()
            && port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
    })
}

/// Refuses a body whose declared length is more than `limit` bytes.
pub(super) fn check_declared_length(req: &Request, limit: u64) -> Result<(), ApiError> {
    let declared = req.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.map(str::parse::<u64>) {
        Some(Ok(length)) if length > limit => Err(ApiError::new(&problems::TOO_LARGE)),
        _ => Ok(()),
    }
}

/// Returns whether a raw path is in its one spelling: the normal form of `mt-tower`, without
/// percent-encoding and without a slash at the end.
///
/// salvo's router decodes percent-encoding and skips empty segments, so `/a`, `/a/`, `//a` and
/// `/%61` would all be one route, while a proxy, a log or a guard sees four paths. No path of this API
/// needs an escape.
pub(super) fn is_canonical(path: &str) -> bool {
    is_normal_path(path) && !path.contains('%') && (path == "/" || !path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for path in ["/", "/health", "/orgs/0192/projects", "/a.b/..c", "/.well-known"] {
            assert!(is_canonical(path), "{path}");
        }
        for path in [
            "",
            "*",
            "a",
            "/a/",
            "//a",
            "//",
            "/a//b",
            "/./a",
            "/a/.",
            "/../a",
            "/a/..",
            "/a%2fb",
            "/%61",
            "/a%",
            "/a%00",
            "/a/..;/b",
            "/a\\..\\b",
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
    fn a_request_names_one_host() {
        let check = |version, hosts: &[&'static [u8]]| {
            let mut req = Request::new();
            *req.version_mut() = version;
            for host in hosts {
                req.headers_mut().append(HOST, HeaderValue::from_bytes(host).unwrap());
            }
            check_host(&req).is_ok()
        };
        let hosts: &[&[u8]] = &[
            b"x",
            b"example.org",
            b"example.org:8000",
            b"example.org:",
            b"127.0.0.1:8000",
            b"[::1]",
            b"[::1]:80",
        ];
        for host in hosts {
            assert!(check(Version::HTTP_11, &[host]), "{host:?}");
            assert!(check(Version::HTTP_10, &[host]), "{host:?}");
        }
        let others: &[&[u8]] = &[
            b"",
            b":80",
            b"a b",
            b"a/b",
            b"http://a",
            b"user@a",
            b"a:b",
            b"a:99999",
            b"a?b",
            b"[::1",
            b"\xff",
        ];
        for other in others {
            assert!(!check(Version::HTTP_11, &[other]), "{other:?}");
            assert!(!check(Version::HTTP_10, &[other]), "{other:?}");
        }
        assert!(!check(Version::HTTP_11, &[]));
        assert!(check(Version::HTTP_10, &[]));
        assert!(!check(Version::HTTP_11, &[b"a", b"a"]));
        assert!(!check(Version::HTTP_10, &[b"a", b"a"]));
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
