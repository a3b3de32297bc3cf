//! The holder of a share.

use super::requester::{Priority, Requester};
use crate::id::{PrincipalId, TenantId};

/// A holder of a share: a tenant, a principal outside of tenants, or all anonymous requests.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Party {
    Anonymous,
    Principal(PrincipalId),
    Tenant(TenantId),
}

impl Requester {
    /// Returns the holder of its share, its principal and its priority.
    pub(super) fn parts(&self) -> (Party, Option<PrincipalId>, Priority) {
        match *self {
            Self::Anonymous => (Party::Anonymous, None, Priority::Normal),
            Self::Principal(id) => (Party::Principal(id), Some(id), Priority::Normal),
            Self::Member { tenant, principal, priority } => {
                (Party::Tenant(tenant), Some(principal), priority)
            }
        }
    }
}
