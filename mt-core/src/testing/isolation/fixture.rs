//! A tenant under test.

use std::fmt::Display;

use uuid::Uuid;

use crate::id::TenantId;

/// A tenant under test: its members and the ids of its rows. The `seed` function of
/// [`Harness::new`](super::Harness::new) returns it.
#[derive(Clone, Debug)]
pub struct TenantFixture {
    pub(super) tenant: TenantId,
    pub(super) canary: String,
    pub(super) members: Vec<(&'static str, String)>,
    pub(super) keys: Vec<(&'static str, String)>,
    pub(super) ids: Vec<(&'static str, String)>,
}

impl TenantFixture {
    /// Creates a fixture for a new tenant.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        let (members, keys, ids) = (Vec::new(), Vec::new(), Vec::new());
        Self { tenant, canary: String::new(), members, keys, ids }
    }

    /// Returns the tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Adds a member: the name of the role and a bearer token. Add one member for each role.
    #[must_use]
    pub fn member(mut self, role: &'static str, bearer: impl Into<String>) -> Self {
        self.members.push((role, bearer.into()));
        self
    }

    /// Adds an id of the tenant's data, which fills `{slot}` in paths and bodies: a UUID, a number or a word.
    /// `{tenant}` is the tenant itself.
    #[must_use]
    pub fn id(mut self, slot: &'static str, id: impl Display) -> Self {
        self.ids.push((slot, id.to_string()));
        self
    }

    /// Returns the name and the credential of each caller: the members, and then the keys.
    pub(super) fn callers(&self) -> impl Iterator<Item = &(&'static str, String)> {
        self.members.iter().chain(&self.keys)
    }

    /// Returns a new canary: unique, and unchanged by case folding, URL encoding and email addresses.
    pub(super) fn new_canary() -> String {
        format!("canary-{}", Uuid::new_v4().simple())
    }

    /// Returns the id that fills a slot.
    pub(super) fn fill(&self, slot: &str) -> Option<String> {
        match slot {
            "tenant" => Some(self.tenant.to_string()),
            _ => self.ids.iter().find(|(name, _)| *name == slot).map(|(_, id)| id.clone()),
        }
    }

    /// Returns the names of the slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = &'static str> {
        self.ids.iter().map(|(name, _)| *name).chain(["tenant"])
    }
}

/// Returns an unknown id of the same kind as `id`. It sorts next to `id`, so that a list which continues after it is
/// the same.
pub(super) fn unknown_like(id: &str) -> String {
    let random = Uuid::new_v4();
    if let Ok(uuid) = id.parse::<Uuid>() {
        // Ids of version 7 that are made within a millisecond differ in the bytes before the last four.
        let mut bytes = *uuid.as_bytes();
        bytes[12..].copy_from_slice(&random.as_bytes()[12..]);
        return Uuid::from_bytes(bytes).to_string();
    }
    if id.parse::<i64>().is_ok() {
        // Larger than the ids in a test, and small enough for a 32-bit column.
        return (1_000_000_000 + random.as_u128() % 1_000_000_000).to_string();
    }
    if let Some((name, host)) = id.split_once('@') {
        return format!("{}@{host}", unknown_like(name));
    }
    let letters = random.simple().to_string();
    // Validation may require the length and the separators.
    let mut letters = letters.bytes().cycle();
    let letter = |c: char| match c {
        c if c.is_ascii_alphanumeric() => letters.next().map_or(c, char::from),
        c => c,
    };
    id.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list that continues after an unknown id would otherwise differ by chance.
    #[test]
    fn unknown_ids_sort_next_to_the_known_ones() {
        let ids: Vec<_> = (0..1000).map(|_| Uuid::now_v7()).collect();
        for ids in ids.windows(3) {
            let unknown: Uuid = unknown_like(&ids[1].to_string()).parse().unwrap();
            assert!(ids[0] < unknown && unknown < ids[2], "{unknown} for {ids:?}");
        }
    }

    #[test]
    fn unknown_ids_are_of_the_same_kind_and_differ() {
        let id = Uuid::now_v7();
        let other: Uuid = unknown_like(&id.to_string()).parse().unwrap();
        assert_ne!(id, other);
        assert_eq!(id.as_bytes()[..12], other.as_bytes()[..12]);
        assert!(unknown_like("17").parse::<i64>().unwrap() >= 1_000_000_000);
        let word = unknown_like("acme-files_01.pdf");
        assert_ne!(word, "acme-files_01.pdf");
        assert!(unknown_like("guest@example.org").ends_with("@example.org"));
        assert_eq!((word.len(), word.find('-'), word.rfind('.')), (17, Some(4), Some(13)));
    }
}
