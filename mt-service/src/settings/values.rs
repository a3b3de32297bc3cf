//! Types of settings that are not numbers or texts.

use std::net::IpAddr;

use http::HeaderValue;
use url::Url;

use super::Reader;

/// The environment that the process runs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AppEnv {
    /// Development: defaults that work at once, and links in responses instead of emails.
    Dev,
    /// Production: no defaults for secrets, and nothing is simulated.
    Prod,
    /// Tests, with the defaults of [`AppEnv::Dev`].
    Test,
}

impl AppEnv {
    /// Parses a value of `APP_ENV`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "dev" => Some(Self::Dev),
            "prod" => Some(Self::Prod),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// Reads `APP_ENV`; without it this is development.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Self {
        r.optional("APP_ENV", "`dev`, `test` or `prod`", Self::parse).unwrap_or(Self::Dev)
    }

    /// Returns the value of `APP_ENV`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Prod => "prod",
            Self::Test => "test",
        }
    }

    /// Returns whether this is production.
    #[must_use]
    pub const fn is_prod(self) -> bool {
        matches!(self, Self::Prod)
    }
}

/// The URL under which clients reach the server: the host of links in emails. It is never taken from a request, whose
/// `Host` the client chooses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Parses an http or https URL without user, query or fragment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        plain_url(text).map(Self)
    }

    /// Reads `BASE_URL`; without it this is `default`.
    ///
    /// # Panics
    ///
    /// When `default` is not such a URL.
    #[must_use]
    pub fn read(r: &mut Reader<'_>, default: &str) -> Self {
        let takes = "an http or https URL without user, query or fragment";
        let url = r.optional("BASE_URL", takes, Self::parse);
        url.unwrap_or_else(|| Self::parse(default).expect("a valid URL"))
    }

    /// Refuses a URL that is exposed.
    pub fn check_production(&self, r: &mut Reader<'_>) {
        if self.is_exposed() {
            r.refuse("BASE_URL", self.as_str(), "https in prod, unless the host is this machine");
        }
    }

    /// Returns the URL without a trailing slash, so that a path can follow.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Returns whether traffic to it can be read on the way: plain HTTP to another machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.0.scheme() != "https" && !is_loopback(self.0.host_str().unwrap_or_default())
    }
}

/// Returns whether `host`, a name or an address, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |ip| ip.is_loopback())
}

/// Parses an address to listen on: an IP address or `localhost`.
#[must_use]
pub fn listen_host(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        _ => text.parse().ok(),
    }
}

/// Parses an origin exactly as browsers send it: lower case, no path, no default port.
#[must_use]
pub fn origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text).ok()?;
    let is_origin =
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    is_origin.then(|| HeaderValue::try_from(text).ok())?
}

/// Parses an http or https URL without user, query or fragment.
#[must_use]
pub fn plain_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url)
}

/// Returns whether `text` is a URL of one of `schemes` with a host.
#[must_use]
pub fn is_url_of(text: &str, schemes: &[&str]) -> bool {
    Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_exposed_unless_it_stays_on_the_machine() {
        for (text, is_exposed) in [
            ("http://localhost:8000", false),
            ("http://app.localhost", false),
            ("http://127.0.0.2", false),
            ("http://[::1]:8000", false),
            ("https://example.org", false),
            ("http://example.org", true),
            ("http://localhost.example.org", true),
            ("http://10.0.0.1", true),
            ("http://0.0.0.0:8000", true),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().is_exposed(), is_exposed, "{text}");
        }
    }

    #[test]
    fn a_path_can_follow_a_base_url() {
        let base = |text| BaseUrl::parse(text).unwrap().as_str().to_owned();
        assert_eq!(base("https://Example.org/"), "https://example.org");
        assert_eq!(base("https://example.org/mt/"), "https://example.org/mt");
    }
}
