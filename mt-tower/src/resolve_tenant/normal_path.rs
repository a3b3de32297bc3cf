//! The normal form of a path.

/// Returns whether all components read this path alike: proxies that merge slashes or remove dots,
/// routers that decode before they compare, templates that do not.
///
/// The normal form is that of RFC 3986 §6.2.2, as far as it changes which segments there are: no `.` and
/// `..`, no empty segment but the last, and no percent-encoding of letters, digits, `-`, `.` and `_`,
/// which need none. Encoded slashes are data, but dots between them count.
///
/// The resolvers of this module check it for a path that names a tenant. A service that refuses other
/// paths as well calls it before routing.
///
/// ```
/// use mt_tower::resolve_tenant::is_normal_path;
///
/// assert!(is_normal_path("/orgs/acme/files/a%20b"));
/// for path in ["//orgs/acme", "/orgs/./acme", "/orgs/%61cme", "/orgs/a/..;/b"] {
///     assert!(!is_normal_path(path));
/// }
/// ```
#[must_use]
pub fn is_normal_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    if is_plain(path) {
        return true;
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() || !is_normal_segment(segment) {
            return false;
        }
    }
    true
}

/// Whether the path has no character that needs a closer look, which holds for nearly all paths.
fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    !path.bytes().any(|byte| {
        let special =
            matches!(byte, b'%' | b'\\' | b';') || after_slash && matches!(byte, b'/' | b'.');
        after_slash = byte == b'/';
        special
    })
}

fn is_normal_segment(segment: &str) -> bool {
    // What lies between two slashes of any kind; `None` once it cannot be dots only.
    let mut dots = Some(0);
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => match decoded(&mut bytes) {
                Some(byte) if !must_not_be_encoded(byte) => byte,
                _ => return false,
            },
            // Some servers cut a segment off here and call the rest its parameters.
            b';' if matches!(dots, Some(1 | 2)) => return false,
            byte => byte,
        };
        dots = match (byte, dots) {
            (b'/' | b'\\', Some(1 | 2)) => return false,
            (b'/' | b'\\', _) => Some(0),
            (b'.', Some(dots)) => Some(dots + 1),
            _ => None,
        };
    }
    !matches!(dots, Some(1 | 2))
}

/// The byte of the two hex digits that come next.
fn decoded(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

/// Unreserved characters (RFC 3986 §2.3). Not `~`, which old encoders encode.
fn must_not_be_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_reading_is_normal() {
        for path in [
            "/",
            "/orgs",
            "/orgs/",
            "/orgs/acme/files/a%20b%2Fc%7e",
            "/orgs/acme/...",
            "/orgs/acme/.well-known/a..b",
            "/orgs/acme/a;v=1",
            "/orgs/acme/%2f%2f",
            "/%E2%82%AC",
        ] {
            assert!(is_normal_path(path), "{path}");
        }
    }

    #[test]
    fn a_closer_look_finds_nothing_in_a_plain_path() {
        let closer = |path: &str| path[1..].split('/').all(is_normal_segment);
        for path in ["/", "/orgs", "/orgs/", "/orgs/acme/a.b", "/orgs/a~b:c@d/x,y"] {
            assert!(is_plain(path) && closer(path), "{path}");
        }
        for path in ["//", "/a//b", "/.", "/a/..", "/%2e", "/a\\b", "/a;b"] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn what_has_two_readings_is_not() {
        for path in [
            "",
            "orgs",
            "*",
            "//orgs",
            "/orgs//acme",
            "/orgs//",
            "/./orgs",
            "/orgs/.",
            "/orgs/..",
            "/orgs/a/../b",
            "/orgs/%61cme",
            "/orgs/%2e%2e/b",
            "/orgs/a/.%2e/b",
            "/orgs/a%2f..%2fb",
            "/orgs/a%2F..",
            "/orgs/a\\..\\b",
            "/orgs/a%5c..%5cb",
            "/orgs/a/..;/b",
            "/orgs/a/.;x/b",
            "/orgs/a%",
            "/orgs/a%2",
            "/orgs/a%zz",
            "/orgs/a%2+",
        ] {
            assert!(!is_normal_path(path), "{path}");
        }
    }
}
