//! Access remembered for a while, so that layers need not ask the store each time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use super::{Access, AccessModel, Facts};
use crate::auth::Principal;
use crate::clock::{Clock, SystemClock};
use crate::id::{PrincipalId, TenantId};

/// Remembers who may do what, for layers that refuse early. Clones share what is remembered.
///
/// Nothing that is right depends on it. A transaction decides on facts of its own
/// (`pg::Tenants::begin`), so an entry that is out of date opens nothing; and what it gives out
/// is marked as [`Access::is_cached`], so that a refusal that rests on it is checked on fresh facts first.
/// That a principal is *not* a member is never remembered.
///
/// # Bounds
///
/// At most `capacity` memberships, of some 150 bytes each; the least used go first. No entry is
/// older than `ttl`.
///
/// # Forgetting
///
/// `pg::AccessChanges` has the cache forget what any process changes. An answer that was on its way
/// meanwhile is not remembered: that is what a [`Ticket`] is for.
///
/// ```
/// use std::time::Duration;
/// use mt_core::access::{Access, AccessCache, AccessModel, Facts};
///
/// fn remember<M: AccessModel>(access: &Access<M>) {
///     let cache = AccessCache::new(10_000, Duration::from_secs(30));
///     let ticket = cache.ticket(); // before the facts are read
///     cache.learn(ticket, access);
///     assert!(cache.get(access.principal(), access.tenant()).unwrap().is_cached());
///
///     let late = cache.ticket();
///     cache.forget(access.principal().id(), access.tenant());
///     cache.learn(late, access); // read before the change, perhaps
///     assert!(cache.get(access.principal(), access.tenant()).is_none());
/// }
/// ```
pub struct AccessCache<M: AccessModel> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: AccessModel> {
    entries: Cache<(TenantId, PrincipalId), Entry<M>>,
    ttl: Duration,
    clock: Box<dyn Clock>,
    /// Moves on with everything that is forgotten.
    epoch: AtomicU64,
    suspended: AtomicBool,
}

struct Entry<M: AccessModel> {
    /// The facts are the same for all credentials of one generation, whatever they are bound to.
    generation: Option<i32>,
    facts: Facts<M>,
    learnt: DateTime<Utc>,
}

/// The state of a cache before facts were read. See [`AccessCache::learn`].
#[derive(Clone, Copy, Debug)]
#[must_use = "take it before the facts are read, and learn with it afterwards"]
pub struct Ticket(u64);

impl<M: AccessModel> AccessCache<M> {
    /// Remembers up to about `capacity` memberships, each for `ttl`.
    #[must_use]
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        Self::with_clock(capacity, ttl, SystemClock)
    }

    /// A cache with another clock.
    #[must_use]
    pub fn with_clock(capacity: usize, ttl: Duration, clock: impl Clock) -> Self {
        let inner = Inner {
            entries: Cache::new(capacity),
            ttl,
            clock: Box::new(clock),
            epoch: AtomicU64::new(0),
            suspended: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is remembered of `principal` in `tenant`, if its credential reaches as far.
    #[must_use]
    pub fn get(&self, principal: Principal, tenant: TenantId) -> Option<Access<M>> {
        let inner = &*self.inner;
        if self.is_suspended() || !principal.may_act_in(tenant) {
            return None;
        }
        let entry = inner.entries.get(&(tenant, principal.id()))?;
        // A clock that was set back makes entries from the future, whose age is not known.
        let age = inner.clock.now().signed_duration_since(entry.learnt).to_std().ok()?;
        (age < inner.ttl && entry.generation == principal.generation())
            .then(|| Access::assertion(tenant, principal, entry.facts).into_cached())
    }

    /// To be taken before facts are read that are to be learnt.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.inner.epoch.load(Ordering::SeqCst))
    }

    /// Remembers `access`, unless something was forgotten since `ticket` was taken: then it may be
    /// from before the change.
    pub fn learn(&self, ticket: Ticket, access: &Access<M>) {
        let inner = &*self.inner;
        if inner.epoch.load(Ordering::SeqCst) != ticket.0 {
            return;
        }
        let principal = access.principal();
        let key = (access.tenant(), principal.id());
        let (generation, facts) = (principal.generation(), *access.facts());
        let entry = Entry { generation, facts, learnt: inner.clock.now() };
        inner.entries.insert(key, entry);
        // Forgetting moves the epoch on first and removes second. So either it comes after the
        // insertion and removes this entry, or it shows here.
        if inner.epoch.load(Ordering::SeqCst) != ticket.0 {
            inner.entries.remove(&key);
        }
    }

    /// Forgets what credentials of this generation were remembered for: they were just found to be worth
    /// nothing.
    ///
    /// Answers on their way to others stay welcome: else strangers could keep the cache empty.
    pub fn unlearn(&self, principal: Principal, tenant: TenantId) {
        let key = (tenant, principal.id());
        let _ =
            self.inner.entries.remove_if(&key, |entry| entry.generation == principal.generation());
    }

    /// Forgets one membership.
    pub fn forget(&self, principal: PrincipalId, tenant: TenantId) {
        self.move_on();
        self.inner.entries.remove(&(tenant, principal));
    }

    /// Forgets every membership of a tenant. Walks the cache.
    pub fn forget_tenant(&self, tenant: TenantId) {
        self.move_on();
        self.inner.entries.retain(|(of, _), _| *of != tenant);
    }

    /// Forgets every membership of a principal. Walks the cache.
    pub fn forget_principal(&self, principal: PrincipalId) {
        self.move_on();
        self.inner.entries.retain(|(_, of), _| *of != principal);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.move_on();
        self.inner.entries.clear();
    }

    /// Remembers nothing until [`resume`](Self::resume): for the time in which changes are not heard of.
    pub fn suspend(&self) {
        self.inner.suspended.store(true, Ordering::SeqCst);
    }

    /// Begins to remember again, from nothing.
    pub fn resume(&self) {
        self.clear();
        self.inner.suspended.store(false, Ordering::SeqCst);
    }

    /// Whether it remembers nothing at present, by [`suspend`](Self::suspend).
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.inner.suspended.load(Ordering::SeqCst)
    }

    /// How many memberships are remembered, those past their time among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn move_on(&self) {
        self.inner.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

// Not derived: a derive would ask the same of `M`.
impl<M: AccessModel> Clone for AccessCache<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: AccessModel> Clone for Entry<M> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M: AccessModel> fmt::Debug for AccessCache<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
