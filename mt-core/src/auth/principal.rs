//! The principal: who acts.

use crate::id::{PrincipalId, TenantId};

/// A principal, identified by a verified credential, and the scope of that credential.
///
/// `generation` is the session generation that the credential was issued in. Signing out everywhere increments the
/// stored one, and the query that reads the membership compares the two, so a token that was signed out fails at the
/// next transaction without a query of its own.
///
/// # Bound to one tenant
///
/// An API key of one tenant, or a token that was issued for one, acts in that tenant only: in any other it has no
/// access, even if its principal is a member. In its own tenant it still needs the membership and has that role.
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
/// | API | with a bound credential |
/// | --- | --- |
/// | `pg::Tenants`, as a source of access and to begin | is not a member of any other tenant |
/// | [`Access::authorize`](crate::access::Access::authorize), wherever the access came from | the same |
/// | `pg::Principals` | sees only that membership and that tenant |
/// | `pg::System::begin_for`, `pg::invites::accept` | refused: creating tenants, joining them and signing out require an unbound credential |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Principal {
    id: PrincipalId,
    generation: Option<i32>,
    tenant: Option<TenantId>,
}

impl Principal {
    /// Creates a principal whose credential has no session, such as an API key that is looked up at each request.
    #[must_use]
    pub const fn new(id: PrincipalId) -> Self {
        Self { id, generation: None, tenant: None }
    }

    /// Creates a principal whose credential was issued in this session generation.
    #[must_use]
    pub const fn in_generation(id: PrincipalId, generation: i32) -> Self {
        Self { id, generation: Some(generation), tenant: None }
    }

    /// Limits the credential to `tenant`.
    ///
    /// The limit is permanent: a credential that is bound already stays bound to its tenant.
    #[must_use]
    pub const fn bound_to(self, tenant: TenantId) -> Self {
        match self.tenant {
            Some(_) => self,
            None => Self { tenant: Some(tenant), ..self },
        }
    }

    /// Returns the id of the principal.
    #[must_use]
    pub const fn id(self) -> PrincipalId {
        self.id
    }

    /// Returns the session generation that the credential was issued in, if it has one.
    #[must_use]
    pub const fn generation(self) -> Option<i32> {
        self.generation
    }

    /// Returns the tenant that the credential is bound to, if any.
    #[must_use]
    pub const fn tenant(self) -> Option<TenantId> {
        self.tenant
    }

    /// Returns whether the credential may be used in `tenant`. It does not check the membership.
    #[must_use]
    pub fn may_act_in(self, tenant: TenantId) -> bool {
        self.tenant.is_none_or(|bound| bound == tenant)
    }
}
