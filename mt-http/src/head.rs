//! Checks of the head of a request, before it is routed or read.

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::is_normal_path;

use crate::problems::{headers_too_large, invalid_request, too_large};

/// The most header fields in a request.
const MAX_FIELDS: usize = 64;
/// The longest head in bytes, from the request line to the empty line, both included.
const MAX_BYTES: usize = 16 * 1024;

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

impl Head<'_> {
    /// Refuses a head of more than 64 fields or 16 KiB.
    ///
    /// hyper has limits of its own and answers them with an empty body. `mt_service::serve` sets them wider, so that only
    /// absurd requests reach them.
    ///
    /// # Errors
    ///
    /// 431 `headers-too-large`.
    pub fn check_size(&self) -> Result<(), Problem> {
        if self.headers.len() > MAX_FIELDS || self.size() > MAX_BYTES {
            return Err(headers_too_large());
        }
        Ok(())
    }

    fn size(&self) -> usize {
        // `GET /path HTTP/1.1\r\n`, `name: value\r\n` each, `\r\n`.
        let target = self.uri.path_and_query().map_or(1, |target| target.as_str().len());
        let request_line = self.method.as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len();
        let fields = self.headers.iter();
        let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        request_line + fields + "\r\n".len()
    }

    /// Refuses a request that does not name its host (RFC 9112 §3.2): in HTTP/1.1 without a `Host` header, and in
    /// any version with two or with one that is not a host.
    ///
    /// # Errors
    ///
    /// 400 `invalid-request`.
    pub fn check_host(&self) -> Result<(), Problem> {
        let mut hosts = self.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if is_host(host) => Ok(()),
            (None, None) if self.version < Version::HTTP_11 => Ok(()),
            _ => Err(invalid_request("a request has one `Host` header, which names a host")),
        }
    }

    /// Refuses a body whose declared length is more than `limit` bytes.
    ///
    /// # Errors
    ///
    /// 413 `too-large`.
    pub fn check_declared_length(&self, limit: u64) -> Result<(), Problem> {
        let declared = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match declared.map(str::parse::<u64>) {
            Some(Ok(length)) if length > limit => Err(too_large()),
            _ => Ok(()),
        }
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

/// Returns whether a raw path is in its one spelling: the normal form of `mt-tower`, without
/// percent-encoding and without a slash at the end.
///
/// Some routers decode percent-encoding and skip empty segments, so `/a`, `/a/`, `//a` and
/// `/%61` would all be one route, while a proxy, a log or a guard sees four paths. A service whose paths need no escape
/// refuses all but one of them.
#[must_use]
pub fn is_canonical(path: &str) -> bool {
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

    fn request(target: &str, fields: usize, padding: usize) -> (Uri, HeaderMap) {
        let mut headers = HeaderMap::new();
        for _ in 0..fields {
            headers.append("a", HeaderValue::from_static("b"));
        }
        headers.append("p", HeaderValue::try_from("x".repeat(padding)).unwrap());
        (target.parse().unwrap(), headers)
    }

    fn head<'a>(uri: &'a Uri, version: Version, headers: &'a HeaderMap) -> Head<'a> {
        Head { method: &Method::GET, uri, version, headers }
    }

    #[test]
    fn both_limits_are_inclusive() {
        let check_size =
            |(uri, headers): &(Uri, HeaderMap)| head(uri, Version::HTTP_11, headers).check_size();
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
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_bytes(host).unwrap());
            }
            head(&Uri::default(), version, &headers).check_host().is_ok()
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
        let (uri, mut headers) = request("/", 0, 0);
        assert!(head(&uri, Version::HTTP_11, &headers).check_declared_length(10).is_ok());
        for (declared, fits) in [("10", true), ("11", false), ("0", true)] {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(declared));
            let head = head(&uri, Version::HTTP_11, &headers);
            assert_eq!(head.check_declared_length(10).is_ok(), fits, "{declared}");
        }
    }
}
