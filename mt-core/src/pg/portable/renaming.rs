//! New ids for old ones.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::id::TenantId;

/// What every id of an archive is called in the new tenant.
///
/// A pure function but for the tenant and its members, who are found or made and not renamed.
#[derive(Debug)]
pub(super) struct Renaming {
    to: TenantId,
    known: HashMap<Uuid, Uuid>,
}

impl Renaming {
    pub(super) fn new(from: Uuid, to: TenantId) -> Self {
        Self { to, known: HashMap::from([(from, to.as_uuid())]) }
    }

    /// Says that `old` is `new` here.
    pub(super) fn know(&mut self, old: Uuid, new: Uuid) {
        self.known.insert(old, new);
    }

    /// The new id: the old with its last four bytes exchanged. What comes before them holds a `UUIDv7`'s
    /// time and counter, so rows stay in order and apart; and what was random is random still.
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

    /// Renames every id in `value`: each text that is one, however deep.
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
    fn references_stay_references_and_texts_stay_texts() {
        let (old, member, project) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let new = TenantId::generate();
        let mut renaming = Renaming::new(old, new);
        let here = Uuid::now_v7();
        renaming.know(member, here);
        let mut row = json!({"id": project, "by": [member, null], "of": {"org": old}, "n": 1,
            "text": format!("see {project}")});
        renaming.rename(&mut row);
        let renamed = renaming.of(project);
        assert_eq!(
            row,
            json!({"id": renamed, "by": [here, null], "of": {"org": new}, "n": 1,
            "text": format!("see {project}")})
        );
        assert_ne!(renamed, project);
        assert_ne!(renamed, Renaming::new(old, TenantId::generate()).of(project));
    }

    proptest! {
        #[test]
        fn order_is_kept(mut bits in proptest::collection::vec(any::<u128>(), 2..50)) {
            let renaming = Renaming::new(Uuid::nil(), TenantId::generate());
            bits.sort_unstable();
            // Ids of one millisecond and one count do not occur.
            bits.dedup_by_key(|bits| *bits >> 32);
            let renamed: Vec<_> = bits.iter().map(|bits| renaming.of(Uuid::from_u128(*bits))).collect();
            prop_assert!(renamed.is_sorted_by(|a, b| a < b));
        }
    }
}
