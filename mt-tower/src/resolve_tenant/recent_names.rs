//! Names that were looked up lately, and what was found.

use mt_core::id::TenantId;
use quick_cache::sync::Cache;

/// How long it is remembered that a name is unknown, in microseconds. Shorter than for a known one, so that a tenant
/// which has just chosen its name is found soon, and long enough that a client asking for one name again and again
/// costs a query each five seconds.
const UNKNOWN_AGE: i64 = 5_000_000;

/// What is remembered of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Remembered {
    /// Its tenant, or that it has none.
    Recent(Option<TenantId>),
    /// That it had a tenant, too long ago.
    Stale,
    /// Nothing is remembered.
    Nothing,
}

/// A cache with bounds in size and age.
///
/// Known and unknown names are kept apart, so that clients who ask for names that do not exist evict none that do.
pub(super) struct RecentNames {
    known: Cache<Box<str>, (TenantId, i64)>,
    unknown: Cache<Box<str>, i64>,
}

impl RecentNames {
    /// Remembers up to `capacity` names of each kind; the least used go first.
    pub(super) fn new(capacity: usize) -> Self {
        Self { known: Cache::new(capacity), unknown: Cache::new(capacity) }
    }

    /// Returns what is remembered of `name` at `now`, in microseconds, if it is not older than `age`.
    pub(super) fn get(&self, name: &str, now: i64, age: i64) -> Remembered {
        // An entry of the future is not recent either: the clock was set back.
        let is_recent = |at: i64, age: i64| (0..age).contains(&now.saturating_sub(at));
        match self.known.get(name) {
            Some((tenant, at)) if is_recent(at, age) => return Remembered::Recent(Some(tenant)),
            Some(_) => return Remembered::Stale,
            None => {}
        }
        match self.unknown.get(name) {
            Some(at) if is_recent(at, age.min(UNKNOWN_AGE)) => Remembered::Recent(None),
            _ => Remembered::Nothing,
        }
    }

    /// Remembers what a lookup that began `at` has found.
    pub(super) fn learn(&self, name: &str, found: Option<TenantId>, at: i64) {
        match found {
            Some(tenant) => {
                self.known.insert(name.into(), (tenant, at));
                self.unknown.remove(name);
            }
            None => {
                self.unknown.insert(name.into(), at);
                self.known.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const AGE: i64 = 30 * SECOND;

    #[test]
    fn names_are_remembered_for_their_age() {
        let (names, tenant) = (RecentNames::new(8), TenantId::generate());
        assert_eq!(names.get("acme", 0, AGE), Remembered::Nothing);
        names.learn("acme", Some(tenant), 0);
        assert_eq!(names.get("acme", AGE - 1, AGE), Remembered::Recent(Some(tenant)));
        assert_eq!(names.get("acme", AGE, AGE), Remembered::Stale);
        assert_eq!(names.get("acme", -1, AGE), Remembered::Stale, "the clock was set back");
        names.learn("acme", None, AGE);
        assert_eq!(names.get("acme", AGE, AGE), Remembered::Recent(None));
        assert_eq!(names.get("acme", AGE + UNKNOWN_AGE, AGE), Remembered::Nothing);
        assert_eq!(names.get("acme", AGE + SECOND, SECOND), Remembered::Nothing);
        names.learn("acme", Some(tenant), 2 * AGE);
        assert_eq!(names.get("acme", 2 * AGE, AGE), Remembered::Recent(Some(tenant)));
        assert_eq!(names.get("acme", 0, 0), Remembered::Stale, "of no age");
    }

    #[test]
    fn unknown_names_do_not_evict_known_ones() {
        let (names, tenant) = (RecentNames::new(8), TenantId::generate());
        // The negative control: one cache for both, of the same size.
        let shared = Cache::<Box<str>, Option<TenantId>>::new(8);
        names.learn("acme", Some(tenant), 0);
        shared.insert("acme".into(), Some(tenant));
        // The cache keeps what is read often, so each name is asked for often.
        for number in (0..1000).flat_map(|number| [number; 4]) {
            let name = format!("unknown-{number}");
            if names.get(&name, 0, AGE) == Remembered::Nothing {
                names.learn(&name, None, 0);
            }
            if shared.get(name.as_str()).is_none() {
                shared.insert(name.into(), None);
            }
        }
        assert_eq!(names.get("acme", 1, AGE), Remembered::Recent(Some(tenant)));
        assert_eq!(shared.get("acme"), None);
        assert!(names.unknown.len() <= 8 && names.known.len() == 1, "{}", names.unknown.len());
    }
}
