//! The role that a member gets: one of the program's, or one of the tenant's.

use super::CustomRole;
use crate::access::{AccessModel, PermissionSet};
use crate::id::RoleId;
use crate::text_enum::TextEnum;

/// The role that a member or an invite gets: a built-in one, or a custom one of the tenant.
///
/// ```
/// use mt_core::id::RoleId;
/// use mt_core::pg::roles::MemberRole;
///
/// mt_core::text_enum! { enum Role { Owner = "owner", Clerk = "clerk" } }
///
/// let id = RoleId::generate();
/// assert_eq!(MemberRole::from(Role::Clerk), MemberRole::BuiltIn(Role::Clerk));
/// assert_eq!(MemberRole::<Role>::from(id), MemberRole::Custom(id));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemberRole<R> {
    /// A role of the program.
    BuiltIn(R),
    /// A role that the tenant made.
    Custom(RoleId),
}

impl<R: TextEnum> From<R> for MemberRole<R> {
    fn from(role: R) -> Self {
        Self::BuiltIn(role)
    }
}

impl<R: TextEnum> From<RoleId> for MemberRole<R> {
    fn from(id: RoleId) -> Self {
        Self::Custom(id)
    }
}

/// The id and the name of a custom role, as members and invites show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedRole {
    /// The id.
    pub id: RoleId,
    /// The name.
    pub name: String,
}

impl NamedRole {
    /// Both or none, as a row has them.
    pub(in crate::pg) fn from_columns(
        id: Option<uuid::Uuid>,
        name: Option<String>,
    ) -> Option<Self> {
        Some(Self { id: RoleId::from_uuid(id?), name: name? })
    }
}

/// A [`MemberRole`] whose custom role was found.
pub(in crate::pg) enum FoundRole<M: AccessModel> {
    BuiltIn(M::Role),
    Custom(CustomRole<M>),
}

impl<M: AccessModel> FoundRole<M> {
    /// The built-in role, or the one that the custom role is based on.
    pub(in crate::pg) const fn role(&self) -> M::Role {
        match self {
            Self::BuiltIn(role) => *role,
            Self::Custom(custom) => custom.based_on,
        }
    }

    /// What a member with the role holds.
    pub(in crate::pg) fn permissions(&self) -> PermissionSet<M> {
        match self {
            Self::BuiltIn(role) => PermissionSet::of_role(*role),
            Self::Custom(custom) => custom.permissions,
        }
    }

    pub(in crate::pg) const fn id(&self) -> Option<RoleId> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Custom(custom) => Some(custom.id),
        }
    }

    pub(in crate::pg) fn named(self) -> Option<NamedRole> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Custom(custom) => Some(NamedRole { id: custom.id, name: custom.name }),
        }
    }
}
