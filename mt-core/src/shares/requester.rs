//! The requester of a connection.

use crate::access::{Access, AccessModel};
use crate::id::{PrincipalId, TenantId};

/// The requester of a connection, whose share it is taken from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Requester {
    /// A request without a principal, such as one that signs a user in.
    Anonymous,
    /// A principal outside of every tenant. A principal whose membership is not known yet counts as one too, so
    /// a caller who is not a member takes nothing of a tenant's share.
    Principal(PrincipalId),
    /// A member of a tenant, in that tenant.
    Member {
        /// The tenant.
        tenant: TenantId,
        /// The member.
        principal: PrincipalId,
        /// The tenant's seats that the member may take.
        priority: Priority,
    },
}

/// The seats of a tenant that a request may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Priority {
    /// The seats that are not reserved.
    Normal,
    /// These, and the seat that is reserved for changes to the tenant's members.
    MemberChange,
    /// All seats, with the one that is reserved for owners. See [`AccessModel::is_owner`].
    Owner,
}

impl Requester {
    /// Returns the member whose access this is. Transactions of the library that change the tenant's members
    /// raise the priority themselves.
    #[must_use]
    pub fn member<M: AccessModel>(access: &Access<M>) -> Self {
        let priority = if M::is_owner(access.role()) { Priority::Owner } else { Priority::Normal };
        Self::Member { tenant: access.tenant(), principal: access.principal().id(), priority }
    }

    /// Returns the requester with the priority of a change to the tenant's members.
    #[cfg(feature = "postgres")]
    pub(crate) fn changing_members(mut self) -> Self {
        if let Self::Member { priority: priority @ Priority::Normal, .. } = &mut self {
            *priority = Priority::MemberChange;
        }
        self
    }
}
