//! Tenants named by a slug instead of an id.

use mt_core::id::TenantId;

use super::directory::{self, Directory};
use super::{NameSource, Resolver};
use crate::guard::View;
use crate::problem::Problem;

/// The longest slug, so that each can also be a subdomain (RFC 1035 §2.3.4).
const LONGEST: usize = 63;

/// Reads a slug where another resolver reads an id, and looks it up in a [`Directory`]: `acme` of
/// `/orgs/acme/tasks`.
///
/// A slug has one spelling: lower-case letters and digits, with single `-` between them, at most 63
/// characters ([`is_slug`]). `Acme` is not `acme` but nothing: folding would give one tenant two addresses.
///
/// # When it refuses
///
/// 404 `not-found`: what is named is no slug, or nobody's. 503 `unavailable`: the directory does not
/// answer.
///
/// ```
/// use mt_core::id::TenantId;
/// use mt_tower::resolve_tenant::{
///     CachedDirectory, Directory, DirectoryError, PathParam, ResolveTenant, Slug,
/// };
///
/// struct Orgs;
///
/// impl Directory for Orgs {
///     async fn find(&self, slug: &str) -> Result<Option<TenantId>, DirectoryError> {
///         # let _ = slug;
///         Ok(None) // select id from orgs where slug = $1
///     }
/// }
///
/// let orgs = CachedDirectory::new(Orgs, 10_000);
/// let guard = ResolveTenant::new(Slug(PathParam("org"), orgs));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slug<S, D>(pub S, pub D);

impl<S: NameSource, D: Directory> Resolver for Slug<S, D> {
    const NEVER_WAITS: bool = D::NEVER_WAITS;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        let Some(name) = self.0.name(view)? else { return Ok(None) };
        if !is_slug(&name) {
            return Err(Problem::NOT_FOUND);
        }
        directory::look_up(&self.1, &name).await.map(Some)
    }
}

/// Whether this text can be a slug, for whoever lets tenants choose theirs.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}
