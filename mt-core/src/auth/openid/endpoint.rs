//! Addresses of a provider.

/// Returns whether a provider's document may be fetched from `url`: HTTPS, or plain HTTP on this machine if `loopback`
/// allows that.
///
/// User information is refused, and so are fragments, white space and backslashes, which parsers read in different ways.
pub(super) fn is_allowed(url: &str, loopback: bool) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\@".contains(&byte);
    if !url.bytes().all(is_plain) {
        return false;
    }
    match url.split_once("://") {
        Some(("https", rest)) => !host(rest).is_empty(),
        Some(("http", rest)) => loopback && is_loopback(host(rest)),
        _ => false,
    }
}

/// Returns whether `issuer` may name a provider: an allowed address without a query (OpenID Connect Core 1.0, section 2).
pub(super) fn is_issuer(issuer: &str, loopback: bool) -> bool {
    is_allowed(issuer, loopback) && !issuer.contains('?')
}

/// Returns the host of what follows `https://`, without the port.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_allowed_loopback_addresses_pass() {
        for (url, anywhere, on_loopback) in [
            ("https://accounts.google.com", true, true),
            ("https://id.example.org:8443/realms/a?p=b", true, true),
            ("http://localhost:8080/realms/a", false, true),
            ("http://127.0.0.1:1", false, true),
            ("http://[::1]:8080/x", false, true),
            ("http://id.example.org", false, false),
            ("http://localhost.example.org", false, false),
            ("http://127.0.0.1.example.org/", false, false),
            ("http://localhost@example.org/", false, false),
            ("https://user:pass@example.org/", false, false),
            ("https://example.org/#a", false, false),
            ("https://example.org\\@localhost/", false, false),
            ("https://example.org/a b", false, false),
            ("https://exämple.org/", false, false),
            ("https://", false, false),
            ("https:///path", false, false),
            ("https://:443/path", false, false),
            ("HTTPS://example.org", false, false),
            ("file:///etc/passwd", false, false),
            ("accounts.google.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_allowed(url, false), anywhere, "{url}");
            assert_eq!(is_allowed(url, true), on_loopback, "{url}");
        }
        assert!(!is_issuer("https://example.org/?a", false));
    }
}
