//! Sets of permissions.

use std::fmt;
use std::marker::PhantomData;

use super::AccessModel;
use crate::text_enum::{TextEnum as _, UnknownVariant};

/// A set of the permissions of a model: what a role holds, or the most that a credential may use.
///
/// ```
/// use mt_core::access::PermissionSet;
///
/// mt_core::model! {
///     pub Notebook;
///     roles Role { Owner = "owner" (owner), Reader = "reader" }
///     plans Plan { Free = "free" (initial) }
///     permissions Action {
///         NotesRead = "notes.read"   [yes yes] [yes] exempt read;
///         NotesWrite = "notes.write" [yes no]  [yes] required write;
///     }
/// }
///
/// let reader = PermissionSet::<Notebook>::of_role(Role::Reader);
/// let owner = PermissionSet::of_role(Role::Owner);
/// assert!(reader.is_subset_of(owner) && !owner.is_subset_of(reader));
/// assert_eq!(owner.intersection(reader), PermissionSet::parse(["notes.read"])?);
/// # Ok::<(), mt_core::text_enum::UnknownVariant>(())
/// ```
pub struct PermissionSet<M>(u128, PhantomData<fn() -> M>);

impl<M: AccessModel> PermissionSet<M> {
    /// One bit for each permission of the model, in the order of their declaration.
    const ALL: u128 = {
        let permissions = <M::Permission as crate::text_enum::TextEnum>::ALL.len();
        assert!(permissions <= 128, "a model has at most 128 permissions");
        if permissions == 128 { u128::MAX } else { (1 << permissions) - 1 }
    };

    /// Returns the set of all permissions.
    #[must_use]
    pub const fn all() -> Self {
        Self(Self::ALL, PhantomData)
    }

    /// Returns the empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0, PhantomData)
    }

    /// Returns what a holder of `role` has.
    #[must_use]
    pub fn of_role(role: M::Role) -> Self {
        M::Permission::ALL.iter().copied().filter(|key| M::role_grants(role, *key)).collect()
    }

    /// Returns the set of the permissions with these texts.
    ///
    /// # Errors
    ///
    /// [`UnknownVariant`] for a text of no permission. Its message lists the texts that exist.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, UnknownVariant> {
        texts.into_iter().map(M::Permission::parse).collect()
    }

    /// Returns the set of the permissions with these texts. A text of no permission adds nothing.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_known<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        texts.into_iter().filter_map(|text| M::Permission::parse(text).ok()).collect()
    }

    /// Returns whether the set has `permission`.
    #[must_use]
    pub fn contains(self, permission: M::Permission) -> bool {
        self.0 & bit::<M>(permission) != 0
    }

    /// Returns the permissions that both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0, PhantomData)
    }

    /// Returns the permissions that `other` lacks.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0, PhantomData)
    }

    /// Returns whether `other` has each permission of this set.
    #[must_use]
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Returns whether the set has no permission.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the permissions, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = M::Permission> {
        M::Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

/// The place of a permission in a set.
fn bit<M: AccessModel>(permission: M::Permission) -> u128 {
    let place = M::Permission::ALL.iter().position(|known| *known == permission);
    place.map_or(0, |place| 1 << place)
}

impl<M: AccessModel> FromIterator<M::Permission> for PermissionSet<M> {
    fn from_iter<I: IntoIterator<Item = M::Permission>>(permissions: I) -> Self {
        let bits = permissions.into_iter().fold(0, |bits, permission| bits | bit::<M>(permission));
        Self(bits, PhantomData)
    }
}

// Not derived: a derive would ask the same of `M`, and models are bare markers.
impl<M> Clone for PermissionSet<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for PermissionSet<M> {}

impl<M> PartialEq for PermissionSet<M> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<M> Eq for PermissionSet<M> {}

impl<M: AccessModel> fmt::Debug for PermissionSet<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(crate::text_enum::TextEnum::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{AccessModel, Unaudited};

    crate::text_enum! { enum Word { A = "a", B = "b", C = "c" } }

    struct Model;

    impl AccessModel for Model {
        type Role = Word;
        type Plan = Word;
        type Permission = Word;
        type Auditing = Unaudited;
        const INITIAL_PLAN: Word = Word::A;

        fn role_grants(role: Word, permission: Word) -> bool {
            role == permission
        }

        fn plan_includes(_: Word, _: Word) -> bool {
            true
        }
    }

    fn set(permissions: &[Word]) -> PermissionSet<Model> {
        permissions.iter().copied().collect()
    }

    #[test]
    fn sets_behave_as_sets() {
        let words = [Word::A, Word::B, Word::C];
        let sets: Vec<Vec<Word>> = (0..8)
            .map(|bits| (0..3).filter(|bit| bits >> bit & 1 == 1).map(|bit| words[bit]).collect())
            .collect();
        for a in &sets {
            assert_eq!(set(a).iter().collect::<Vec<_>>(), *a);
            assert_eq!(set(a).is_empty(), a.is_empty());
            for b in &sets {
                let (x, y) = (set(a), set(b));
                for word in words {
                    let (in_a, in_b) = (a.contains(&word), b.contains(&word));
                    assert_eq!(x.contains(word), in_a);
                    assert_eq!(x.intersection(y).contains(word), in_a && in_b);
                    assert_eq!(x.difference(y).contains(word), in_a && !in_b);
                }
                assert_eq!(x.is_subset_of(y), a.iter().all(|word| b.contains(word)));
                assert_eq!(x == y, a == b);
            }
        }
        assert_eq!(PermissionSet::all(), set(&words));
        assert_eq!(PermissionSet::empty(), set(&[]));
        assert_eq!(PermissionSet::of_role(Word::B), set(&[Word::B]));
    }

    #[test]
    fn unknown_text_is_an_error_that_lists_the_known_ones() {
        assert_eq!(PermissionSet::parse(["c", "a"]), Ok(set(&[Word::A, Word::C])));
        let error = PermissionSet::<Model>::parse(["a", "d"]).unwrap_err().to_string();
        assert_eq!(error, "unknown variant `d`, expected one of: a, b, c");
    }
}
