//! The tenant named by the host.

use http::header::HOST;
use mt_core::id::TenantId;

use super::Resolver;
use super::directory::{self, Directory};
use crate::guard::View;
use crate::problem::Problem;

/// Looks the tenant up by the host that the request is for: `acme` of `acme.example.org`, or a whole
/// domain that a tenant has registered.
///
/// The host is read once and in one form: of the URI where it has one (HTTP/2), else of the one `Host`
/// header; without the port and one trailing dot, in lower case. Names in other scripts arrive as
/// punycode (`xn--…`, RFC 5891) and are looked up as that.
///
/// # When it refuses
///
/// 404 `not-found`: two `Host` headers, or one that differs from the URI's; a host that is no domain
/// name, as an IP address; a name that the directory does not know. The apex itself, and a host with
/// more than one label before it, name no tenant: another resolver may have something to say.
/// 503 `unavailable`: the directory does not answer.
///
/// # Deployment
///
/// The host is what the client says. A proxy in front has to pass it on unchanged, and caches have to
/// know that answers depend on it.
#[derive(Clone, Debug)]
pub struct Subdomain<D> {
    // INVARIANT: as `normal` returns it.
    apex: String,
    directory: D,
    takes_domains: bool,
}

impl<D: Directory> Subdomain<D> {
    /// Looks up the one label before `apex`.
    ///
    /// # Errors
    ///
    /// [`ApexError`] when `apex` is no domain name.
    pub fn of(apex: &str, directory: D) -> Result<Self, ApexError> {
        let apex = normal(apex).ok_or_else(|| ApexError(apex.to_owned()))?;
        Ok(Self { apex, directory, takes_domains: false })
    }

    /// Looks up a host outside of the apex as well, as a whole: `tasks.acme.com`. It has dots, which a
    /// subdomain's label has not, so one directory serves both.
    #[must_use]
    pub fn with_domains(mut self) -> Self {
        self.takes_domains = true;
        self
    }

    /// The name to look up for a host in its normal form.
    fn name<'h>(&self, host: &'h str) -> Option<&'h str> {
        if host == self.apex {
            return None;
        }
        match host.strip_suffix(&self.apex).and_then(|before| before.strip_suffix('.')) {
            Some(label) => (!label.contains('.')).then_some(label),
            None => self.takes_domains.then_some(host),
        }
    }
}

impl<D: Directory> Resolver for Subdomain<D> {
    const NEVER_WAITS: bool = D::NEVER_WAITS;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        let Some(host) = host(view)? else { return Ok(None) };
        let Some(name) = self.name(&host) else { return Ok(None) };
        directory::look_up(&self.directory, name).await.map(Some)
    }
}

/// The host in its normal form, or none where the request names none.
fn host(view: &View<'_>) -> Result<Option<String>, Problem> {
    let mut fields = view.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Problem::NOT_FOUND);
    }
    let read = |text: &str| normal(without_port(text)).ok_or(Problem::NOT_FOUND);
    let field = field.map(|value| value.to_str().map_err(|_| Problem::NOT_FOUND).and_then(read));
    let uri = view.uri.authority().map(|authority| read(authority.as_str()));
    match (uri.transpose()?, field.transpose()?) {
        // Two readings of one request are how it is checked for one tenant and served for another.
        (Some(uri), Some(field)) if uri != field => Err(Problem::NOT_FOUND),
        (Some(host), _) | (None, Some(host)) => Ok(Some(host)),
        (None, None) => Ok(None),
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// A domain name (RFC 1123 §2.1) in lower case and without the dot of the root.
fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    // The last label of a domain is never a number; that of an address is.
    let last = name.rsplit('.').next()?;
    let is_address = last.bytes().all(|b| b.is_ascii_digit());
    (name.len() <= 253 && !is_address && name.split('.').all(is_label))
        .then(|| name.to_ascii_lowercase())
}

/// The text is no domain name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no domain name: labels of letters, digits and `-`, separated by dots")]
pub struct ApexError(String);
