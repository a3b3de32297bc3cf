//! The directory of slugs and verified domains in Postgres.

use std::fmt;
use std::time::Duration;

use mt_core::clock::{Clock, SystemClock};
use mt_core::id::TenantId;
use mt_core::pg::{Database, PgError, System, SystemReason};
use mt_core::tenant_name::{DomainName, Slug};

use super::directory::{Directory, DirectoryError};
use super::recent_names::{RecentNames, Remembered};

const CAPACITY: usize = 10_000;
const MAX_AGE: Duration = Duration::from_secs(30);

/// A name that had no tenant, or was never asked for. Anyone can ask for those.
const LOOK_UP: SystemReason = SystemReason::anonymous("look a tenant's name up");
/// A name that had a tenant. These lookups take no part in the anonymous share of the connections, so clients who ask
/// for names that do not exist cannot keep a tenant from being found.
const LOOK_UP_AGAIN: SystemReason = SystemReason::new("look a tenant's name up again");

/// [`Directory`] of the slugs and the verified domains that Postgres stores (feature `postgres`).
///
/// A name without dots is looked up as a slug, one with dots as a domain. What was found is remembered in the process:
/// a name is looked up in one round trip, and then for 30 seconds ([`max_age`](Self::max_age)) without a query. That a
/// name has no tenant is remembered for 5 seconds. So a tenant's new name is found at once or after 5 seconds, and a
/// name that was given up leads to its tenant for up to 30 seconds.
///
/// An old name does no harm: it leads to the tenant that had it, whose members alone are let in by the transaction.
///
/// # Deployment
///
/// Put a rate limit by address before it: each *different* name that does not exist costs a query. These queries use
/// the anonymous [share](mt_core::shares) of the connections.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use mt_core::pg::Database;
/// use mt_tower::resolve_tenant::{ApexError, ResolveTenant, Slug, Subdomain, TenantDirectory};
///
/// # fn example(database: &Database) -> Result<(), ApexError> {
/// let directory = Arc::new(TenantDirectory::new(database));
/// // `acme.example.org`, and `tasks.acme.com` once Acme has verified it.
/// let by_host = Subdomain::of("example.org", directory.clone())?.with_domains();
/// // `/orgs/acme`.
/// let by_path = Slug::param("org", directory);
/// let guard = ResolveTenant::new((by_host, by_path));
/// # Ok(()) }
/// ```
pub struct TenantDirectory<C = SystemClock> {
    system: System,
    recent: RecentNames,
    max_age: Duration,
    clock: C,
}

impl TenantDirectory {
    /// Creates a directory that remembers 10 000 names with a tenant, and as many without.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self::with_clock(database, SystemClock)
    }
}

impl<C: Clock> TenantDirectory<C> {
    /// Creates a directory that reads the age of what it remembers from `clock`.
    #[must_use]
    pub fn with_clock(database: &Database, clock: C) -> Self {
        let recent = RecentNames::new(CAPACITY);
        Self { system: database.system(), recent, max_age: MAX_AGE, clock }
    }

    /// Sets for how long a name is remembered, which is how long a change may take to be seen.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets how many names with a tenant are remembered, and as many without, of some 150 bytes each.
    #[must_use]
    pub fn capacity(mut self, names: usize) -> Self {
        self.recent = RecentNames::new(names);
        self
    }

    async fn look_up(
        &self,
        name: &Name,
        reason: SystemReason,
    ) -> Result<Option<TenantId>, PgError> {
        match name {
            Name::Domain(domain) => self.system.tenant_by_domain(reason, domain).await,
            Name::Slug(slug) => self.system.tenant_by_slug(reason, slug).await,
        }
    }
}

/// A name that a tenant can have.
enum Name {
    Domain(DomainName),
    Slug(Slug),
}

impl Name {
    /// Parses a name in its canonical form.
    fn parse(text: &str) -> Option<Self> {
        if text.contains('.') {
            let domain = DomainName::parse(text).ok()?;
            (domain.as_str() == text).then_some(Self::Domain(domain))
        } else {
            Slug::parse(text).ok().map(Self::Slug)
        }
    }
}

impl<C: Clock> Directory for TenantDirectory<C> {
    async fn find<'a>(&'a self, name: &'a str) -> Result<Option<TenantId>, DirectoryError> {
        // Before the query: what was changed since counts as not seen.
        let now = self.clock.micros();
        let max_age = i64::try_from(self.max_age.as_micros()).unwrap_or(i64::MAX);
        let reason = match self.recent.get(name, now, max_age) {
            Remembered::Recent(found) => return Ok(found),
            Remembered::Stale => LOOK_UP_AGAIN,
            Remembered::Nothing => LOOK_UP,
        };
        let Some(parsed) = Name::parse(name) else { return Ok(None) };
        let found = self.look_up(&parsed, reason).await.map_err(DirectoryError::new)?;
        self.recent.learn(name, found, now);
        Ok(found)
    }
}

impl<C> fmt::Debug for TenantDirectory<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantDirectory").field("max_age", &self.max_age).finish_non_exhaustive()
    }
}
