//! The tenant named by the host.

use http::header::HOST;
use mt_core::id::TenantId;

use super::Resolver;
use super::directory::{self, Directory};
use crate::guard::RequestContext;
use crate::problem::Problem;

/// Resolver for the host of a request: `acme` of `acme.example.org`, or a whole domain that a tenant
/// has registered.
///
/// The host is read once and in one form: from the URI where it has one (HTTP/2), else from the one
/// `Host` header; without the port and one trailing dot, in lower case. Internationalised names arrive
/// as punycode (`xn--…`, RFC 5891) and are looked up in that form.
///
/// # When it refuses
///
/// 404 `not-found`: two `Host` headers, or one that differs from the URI's; a host that is not a domain
/// name, such as an IP address; a name that the directory does not know. The apex itself, and a host
/// with more than one label before it, name no tenant, so the second resolver of a tuple is asked.
/// 503 `unavailable`: the directory failed.
///
/// # Deployment
///
/// The client chooses the host. A proxy in front has to pass it on unchanged, and caches have to know
/// that responses depend on it.
///
/// # Example
///
/// With names that the service keeps itself. `TenantDirectory` (feature `postgres`) has those that `mt_core::pg` stores.
///
/// ```
/// use mt_core::id::TenantId;
/// use mt_tower::resolve_tenant::{Directory, DirectoryError, ResolveTenant, Subdomain};
///
/// struct Orgs; // with a pool of connections
///
/// impl Directory for Orgs {
///     async fn find(&self, name: &str) -> Result<Option<TenantId>, DirectoryError> {
///         # let _ = name;
///         Ok(None) // select id from orgs where subdomain = $1
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = ResolveTenant::new(Subdomain::of("example.org", Orgs)?);
/// # Ok(())
/// # }
/// ```
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
    /// [`ApexError`] if `apex` is not a domain name.
    pub fn of(apex: &str, directory: D) -> Result<Self, ApexError> {
        let apex = normal(apex).ok_or_else(|| ApexError(apex.to_owned()))?;
        Ok(Self { apex, directory, takes_domains: false })
    }

    /// Looks up hosts outside of the apex too, as a whole: `tasks.acme.com`. Such a name has dots and a
    /// subdomain's label has none, so one directory serves both. Hosts below the apex are never looked up as domains.
    #[must_use]
    pub fn with_domains(mut self) -> Self {
        self.takes_domains = true;
        self
    }

    /// Returns the name to look up for a host in its normal form.
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
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        let Some(host) = host(request)? else { return Ok(None) };
        let Some(name) = self.name(&host) else { return Ok(None) };
        directory::look_up(&self.directory, name).await.map(Some)
    }
}

/// Returns the host in its normal form, or `None` if the request names none.
fn host(request: &RequestContext<'_>) -> Result<Option<String>, Problem> {
    let mut fields = request.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Problem::NOT_FOUND);
    }
    let read = |text: &str| normal(without_port(text)).ok_or(Problem::NOT_FOUND);
    let field = field.map(|value| value.to_str().map_err(|_| Problem::NOT_FOUND).and_then(read));
    let uri = request.uri.authority().map(|authority| read(authority.as_str()));
    match (uri.transpose()?, field.transpose()?) {
        // Read in two ways, a request could be checked for one tenant and served for another.
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

/// Returns a domain name (RFC 1123 §2.1) in lower case and without the dot of the root.
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

/// The text is not a domain name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a domain name: labels of letters, digits and `-`, separated by dots")]
pub struct ApexError(String);
