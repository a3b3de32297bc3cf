//! The one reading of a path.

/// Whether everybody reads this path alike: proxies that merge slashes or remove dots, routers that
/// decode before they compare, templates that do not.
///
/// That is RFC 3986 §6.2.2, as far as it changes which segments there are: no `.` and `..`, no empty
/// segment but the last, no percent-encoding of letters, digits, `-`, `.` and `_`, which nobody has to
/// encode. Encoded slashes are data, but dots between them count.
pub(super) fn is_normal(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() || !is_normal_segment(segment) {
            return false;
        }
    }
    true
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
            assert!(is_normal(path), "{path}");
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
            assert!(!is_normal(path), "{path}");
        }
    }
}
