//! Maps the ids of an archive to new ids.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::id::TenantId;

/// The ids of an archive in the new tenant.
///
/// A pure function, except for the tenant and its members, who are found or created.
#[derive(Debug)]
pub(super) struct IdMap {
    to: TenantId,
    known: HashMap<Uuid, Uuid>,
}

impl IdMap {
    pub(super) fn new(from: Uuid, to: TenantId) -> Self {
        Self { to, known: HashMap::from([(from, to.as_uuid())]) }
    }

    /// Maps `old` to `new`.
    pub(super) fn insert(&mut self, old: Uuid, new: Uuid) {
        self.known.insert(old, new);
    }

    /// Returns the new id: the old one with other last four bytes. The bytes before hold the time and counter of a
    /// `UUIDv7`, so rows keep their order and stay distinct.
    pub(super) fn of(&self, old: Uuid) -> Uuid {
        if let Some(known) = self.known.get(&old) {
            return *known;
        }
        let digest = Sha256::new()
            .chain_update(self.to.as_uuid().as_bytes())
            .chain_update(old.as_bytes())
            .finalize();
        let mut bytes = old.into_bytes();
        bytes[12..].copy_from_slice(&digest[..4]);
        Uuid::from_bytes(bytes)
    }

    /// Replaces every id in `value`: each text that is an id, at any depth.
    pub(super) fn rename(&self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.rename(value)),
            Value::Object(members) => members.values_mut().for_each(|value| self.rename(value)),
            Value::String(text) => {
                if let Some(id) = TenantId::parse(text) {
                    *text = self.of(id.as_uuid()).to_string();
                }
            }
            Value::Bool(_) | Value::Null | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_replaced_and_other_texts_are_kept() {
        let (old, member, project) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let new = TenantId::generate();
        let mut ids = IdMap::new(old, new);
        let here = Uuid::now_v7();
        ids.insert(member, here);
        let mut row = json!({"id": project, "by": [member, null], "of": {"org": old}, "n": 1,
            "text": format!("see {project}")});
        ids.rename(&mut row);
        let renamed = ids.of(project);
        assert_eq!(
            row,
            json!({"id": renamed, "by": [here, null], "of": {"org": new}, "n": 1,
            "text": format!("see {project}")})
        );
        assert_ne!(renamed, project);
        assert_ne!(renamed, IdMap::new(old, TenantId::generate()).of(project));
    }

    proptest! {
        #[test]
        fn order_is_kept(mut bits in proptest::collection::vec(any::<u128>(), 2..50)) {
            let ids = IdMap::new(Uuid::nil(), TenantId::generate());
            bits.sort_unstable();
            // Equal time and counter do not occur.
            bits.dedup_by_key(|bits| *bits >> 32);
            let renamed: Vec<_> = bits.iter().map(|bits| ids.of(Uuid::from_u128(*bits))).collect();
            prop_assert!(renamed.is_sorted_by(|a, b| a < b));
        }
    }
}
