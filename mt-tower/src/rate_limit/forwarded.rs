//! The hops that proxies have recorded, from the nearest to the farthest.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The entries of all `X-Forwarded-For` headers; `None` for one that is not an address.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
        .map(|entry| address(entry.trim_ascii()))
}

/// The elements of all `Forwarded` headers (RFC 7239 §4); `None` for one without an address.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    headers
        .get_all(FORWARDED)
        .iter()
        .rev()
        .flat_map(|value| rsplit_unquoted(value.as_bytes(), b','))
        .map(forwarded_for)
}

/// The address of the one `for` in an element: `for=192.0.2.43`, `For="[2001:db8::7]:4711"`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = rsplit_unquoted(element, b';')
        .filter_map(|pair| pair.trim_ascii().split_at_checked(4))
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"for="))
        .map(|(_, value)| value);
    let (value, None) = (found.next()?, found.next()) else { return None };
    let node = match value.strip_prefix(b"\"") {
        // An address needs no backslash, and what does is none.
        Some(quoted) => quoted.strip_suffix(b"\"")?,
        None => value,
    };
    address(node)
}

/// Splits at separators outside of quoted strings, from the right, so that text left of a proxy's own entry, such
/// as an unclosed quote, does not change how that entry is read.
fn rsplit_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let at = text.iter().rposition(|byte| {
            quoted ^= *byte == b'"';
            *byte == separator && !quoted
        });
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]))
    })
}

/// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, and either with a port as some proxies write it.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare
        .parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|with_port| with_port.ip()))
        .ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, value.parse().unwrap());
        forwarded(&headers).map(|hop| hop.map(|hop| hop.to_string())).collect()
    }

    fn hops(addresses: &[&str]) -> Vec<Option<String>> {
        addresses.iter().map(|a| (!a.is_empty()).then(|| (*a).to_owned())).collect()
    }

    #[test]
    fn elements_are_read_from_the_right() {
        for (value, expected) in [
            ("for=192.0.2.43", hops(&["192.0.2.43"])),
            ("For=\"[2001:db8:cafe::17]:4711\"", hops(&["2001:db8:cafe::17"])),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", hops(&["192.0.2.60"])),
            ("proto=http ; for=192.0.2.60", hops(&["192.0.2.60"])),
            ("for=192.0.2.43, for=198.51.100.17", hops(&["198.51.100.17", "192.0.2.43"])),
            ("for=\"192.0.2.43:47011\"", hops(&["192.0.2.43"])),
            ("for=\"::ffff:192.0.2.43\"", hops(&["192.0.2.43"])),
            ("for=192.0.2.43;host=\"a,b;for=10.0.0.9\"", hops(&["192.0.2.43"])),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn what_names_no_one_address_is_none() {
        for value in [
            "for=unknown",
            "for=_hidden",
            "for=",
            "by=192.0.2.1",
            "for",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "for=\"192.0.2.\\1\"",
            "for = 192.0.2.1",
        ] {
            assert_eq!(read(value), hops(&[""]), "{value}");
        }
    }

    #[test]
    fn an_unclosed_quote_of_the_client_hides_no_proxys_entry() {
        for forged in ["for=\"x", "for=\"", "\"", "for=\"a\\\"", "host=\"a;for=1.2.3.4"] {
            let read = read(&format!("{forged}, for=198.51.100.7"));
            assert_eq!(read[0].as_deref(), Some("198.51.100.7"), "{forged}");
        }
    }
}
