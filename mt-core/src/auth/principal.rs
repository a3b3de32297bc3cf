//! The caller.

use crate::id::{PrincipalId, TenantId};

/// Who a verified credential speaks for, and how far it reaches.
///
/// `generation` is the credential's copy of the user's session generation. Signing out everywhere
/// moves the stored one on, and the query that reads the membership compares the two, so that a
/// signed-out token ends at the next transaction and costs no query of its own.
///
/// # Bound to one tenant
///
/// An API key of one tenant, or a token that was issued for one, speaks for its principal there and
/// nowhere else: in any other tenant it is a stranger's, whatever its principal is a member of. The binding
/// takes away and never gives: in its own tenant the credential needs the membership like any other, and
/// has that role.
///
/// ```
/// use mt_core::auth::Principal;
/// use mt_core::id::{PrincipalId, TenantId};
///
/// let (acme, blue) = (TenantId::generate(), TenantId::generate());
/// let session = Principal::in_generation(PrincipalId::generate(), 3);
/// assert!(session.may_act_in(acme) && session.may_act_in(blue));
///
/// let key = Principal::new(session.id()).bound_to(acme);
/// assert!(key.may_act_in(acme) && !key.may_act_in(blue));
/// ```
///
/// | with a bound credential | |
/// | --- | --- |
/// | `pg::TenantPool`, as a source of access and to begin | is not a member of any other tenant |
/// | [`Access::authorize`](crate::access::Access::authorize), wherever the access came from | the same |
/// | `pg::PrincipalPool` | sees that membership and that tenant |
/// | `pg::SystemPool::begin_for`, `pg::invites::accept` | refused: making tenants, joining them and signing out are for the person |
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

    /// The same, whose credential is good in `tenant` alone.
    ///
    /// There is no way back, and none to another tenant: one that is bound already stays as it is.
    #[must_use]
    pub const fn bound_to(self, tenant: TenantId) -> Self {
        match self.tenant {
            Some(_) => self,
            None => Self { tenant: Some(tenant), ..self },
        }
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

    /// The one tenant that the credential is good in, if it is bound to one.
    #[must_use]
    pub const fn tenant(self) -> Option<TenantId> {
        self.tenant
    }

    /// Whether the credential reaches as far as `tenant`. Whether its principal is a member there is
    /// another question.
    #[must_use]
    pub fn may_act_in(self, tenant: TenantId) -> bool {
        self.tenant.is_none_or(|bound| bound == tenant)
    }
}
