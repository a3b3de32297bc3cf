//! Where in a request the credential is.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};

/// Reads the one credential of its kind from a request's headers.
pub trait CredentialSource: Send + Sync + 'static {
    /// The credential, or none when the request has none of this kind.
    ///
    /// # Errors
    ///
    /// [`NoCredential`] if its place holds something else.
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, NoCredential>;

    /// The challenge of a 401 for want of a credential (RFC 9110 §11.6.1).
    fn missing(&self) -> HeaderValue;

    /// The challenge of a 401 for a credential that is not good.
    fn refused(&self) -> HeaderValue {
        self.missing()
    }
}

/// The place of the credential holds none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoCredential {
    /// It cannot be read, or there are two.
    #[error("malformed credential")]
    Malformed,
    /// It is of another scheme of the `Authorization` header.
    #[error("credential of another scheme")]
    OtherScheme,
}

/// A bearer token in the `Authorization` header (RFC 6750 §2.1). Forms and query parameters, which the
/// RFC also knows, end up in logs and are not read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bearer;

impl CredentialSource for Bearer {
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, NoCredential> {
        let Some(text) = one(headers, &AUTHORIZATION)? else { return Ok(None) };
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NoCredential::OtherScheme);
        }
        let token = token.trim_matches(' ');
        if token.is_empty() || token.contains([' ', '\t', ',']) {
            return Err(NoCredential::Malformed);
        }
        Ok(Some(token))
    }

    fn missing(&self) -> HeaderValue {
        HeaderValue::from_static("Bearer")
    }

    fn refused(&self) -> HeaderValue {
        HeaderValue::from_static(r#"Bearer error="invalid_token""#)
    }
}

/// An API key that is the whole value of a header, such as `x-api-key`.
#[derive(Clone, Debug)]
pub struct KeyHeader(HeaderName);

impl KeyHeader {
    /// Reads the header `name`, spelled in lower case.
    ///
    /// # Panics
    ///
    /// When `name` is not a header's name in lower case.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(HeaderName::from_static(name))
    }
}

impl CredentialSource for KeyHeader {
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, NoCredential> {
        match one(headers, &self.0)?.map(|key| key.trim_matches(' ')) {
            Some("") => Err(NoCredential::Malformed),
            key => Ok(key),
        }
    }

    fn missing(&self) -> HeaderValue {
        HeaderValue::try_from(format!("ApiKey header=\"{}\"", self.0))
            .expect("a header's name needs no quoting")
    }
}

/// A session's token in a cookie (RFC 6265).
#[derive(Clone, Copy, Debug)]
pub struct SessionCookie(&'static str);

impl SessionCookie {
    /// Reads the cookie `name`. A name that begins with `__Host-` cannot be set by other hosts of a
    /// domain.
    ///
    /// # Panics
    ///
    /// When `name` is empty or has characters that would have to be quoted.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a cookie has a name");
        let mut at = 0;
        while at < bytes.len() {
            let plain =
                bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'-' | b'_' | b'.');
            assert!(plain, "a cookie's name is letters, digits, `-`, `_` and `.`");
            at += 1;
        }
        Self(name)
    }
}

impl CredentialSource for SessionCookie {
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, NoCredential> {
        let mut found = None;
        // HTTP/2 may send one header for each cookie (RFC 9113 §8.2.3).
        for value in headers.get_all(COOKIE) {
            let Ok(value) = value.to_str() else { return Err(NoCredential::Malformed) };
            for pair in value.split(';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                // Of two cookies of one name, the browser does not tell which host set which.
                if name.trim_matches(' ') == self.0
                    && found.replace(value.trim_matches(' ')).is_some()
                {
                    return Err(NoCredential::Malformed);
                }
            }
        }
        match found {
            Some("") => Err(NoCredential::Malformed),
            found => Ok(found),
        }
    }

    fn missing(&self) -> HeaderValue {
        HeaderValue::try_from(format!("Cookie cookie-name=\"{}\"", self.0))
            .expect("the name needs no quoting")
    }
}

/// The text of the one header of this name.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, NoCredential> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| NoCredential::Malformed),
        (Some(_), Some(_)) => Err(NoCredential::Malformed),
    }
}
