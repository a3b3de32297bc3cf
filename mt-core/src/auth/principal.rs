//! The caller.

use crate::id::{PrincipalId, TenantId};

/// Who a verified credential speaks for.
///
/// `generation` is the credential's copy of the user's session generation. Signing out everywhere
/// moves the stored one on, and the query that reads the membership compares the two, so that a
/// signed-out token ends at the next transaction and costs no query of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Principal {
    id: PrincipalId,
    generation: Option<i32>,
    tenant: Option<TenantId>,
}

impl Principal {
    /// A principal whose credential cannot be signed out (an API key that is looked up each time).
    #[must_use]
    pub const fn new(id: PrincipalId) -> Self {
        Self { id, generation: None, tenant: None }
    }

    /// A principal whose credential was issued in this session generation.
    #[must_use]
    pub const fn in_generation(id: PrincipalId, generation: i32) -> Self {
        Self { id, generation: Some(generation), tenant: None }
    }

    /// Whose credential it is.
    #[must_use]
    pub const fn id(self) -> PrincipalId {
        self.id
    }

    /// The session generation that the credential was issued in, if it has one.
    #[must_use]
    pub const fn generation(self) -> Option<i32> {
        self.generation
    }

    /// The same, good for this tenant and no other.
    #[must_use]
    pub const fn bound_to(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// The one tenant that the credential is good for, if it is bound to one.
    #[must_use]
    pub const fn tenant(self) -> Option<TenantId> {
        self.tenant
    }
}
