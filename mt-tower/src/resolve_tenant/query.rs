//! The tenant named by a query parameter.

use std::borrow::Cow;

use mt_core::id::TenantId;

use super::{NameSource, Resolver, parse};
use crate::guard::View;
use crate::problem::Problem;

/// Reads the tenant from a parameter of the query, which the client writes as it likes.
///
/// The parameter has one spelling and stands there once: two of them, or one whose name or value is
/// percent-encoded, refuse the request, for another reader may take the other.
///
/// # Deployment
///
/// Links carry queries along and access logs keep them. Where the path or the host can name the
/// tenant, let it; this is for callbacks and downloads whose path is somebody else's.
#[derive(Clone, Copy, Debug)]
pub struct TenantQuery(&'static str);

impl TenantQuery {
    /// Reads the parameter `name`.
    ///
    /// # Panics
    ///
    /// When `name` is empty or would have to be percent-encoded.
    #[must_use]
    pub const fn chosen_by_client(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a parameter has a name");
        let mut at = 0;
        while at < bytes.len() {
            let plain =
                bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'-' | b'_' | b'.');
            assert!(plain, "a parameter's name is letters, digits, `-`, `_` and `.`");
            at += 1;
        }
        Self(name)
    }
}

impl NameSource for TenantQuery {
    fn name<'v>(&self, view: &'v View<'_>) -> Result<Option<Cow<'v, str>>, Problem> {
        let Some(query) = view.uri.query() else { return Ok(None) };
        let mut found = None;
        // Pair by pair, since decoding makes no pairs: it comes after `&` and `=`.
        for pair in query.split('&') {
            let raw = pair.split_once('=').unwrap_or((pair, ""));
            let Some(decoded) = form_urlencoded::parse(pair.as_bytes()).next() else { continue };
            if decoded.0 != self.0 {
                continue;
            }
            if (decoded.0.as_ref(), decoded.1.as_ref()) != raw || found.replace(raw.1).is_some() {
                return Err(Problem::NOT_FOUND);
            }
        }
        Ok(found.map(Cow::Borrowed))
    }
}

impl Resolver for TenantQuery {
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        self.name(view)?.map_or(Ok(None), |name| parse(&name))
    }
}
