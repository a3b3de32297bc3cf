//! The decision: facts in, a grant or a reason out. No I/O.

use std::fmt;

use super::{
    AccessModel, Billing, Effect, Grant, Permission, PermissionEffect as _, PermissionSet,
};
use crate::auth::Principal;
use crate::billing::Standing;
use crate::id::TenantId;

/// What was known of a membership and its tenant at one moment.
pub struct Facts<M: AccessModel> {
    /// The role that the membership carries, or the one that its custom role is based on.
    pub role: M::Role,
    /// The role of the service account that acts on behalf of the member, if one does.
    pub actor_role: Option<M::Role>,
    /// What the custom role of the membership grants, if it has one, instead of what `role` grants.
    pub custom_role: Option<PermissionSet<M>>,
    /// The plan that the tenant is on.
    pub plan: M::Plan,
    /// Where the tenant's payments stand.
    pub standing: Standing,
    /// Whether an operator has stopped the tenant.
    pub suspension: Suspension,
    /// The most that the credential may use, whatever the role holds.
    pub limit: PermissionSet<M>,
}

impl<M: AccessModel> Facts<M> {
    /// The facts of a tenant that is not suspended, of a membership without a custom role, and of a credential without a
    /// limit.
    #[must_use]
    pub const fn new(role: M::Role, plan: M::Plan, standing: Standing) -> Self {
        let (suspension, limit) = (Suspension::None, PermissionSet::all());
        Self { role, actor_role: None, custom_role: None, plan, standing, suspension, limit }
    }

    /// Returns what the principal holds: what each link of the chain has, that is the member's role, the role of the
    /// service account that acts on their behalf, and the limit of the credential.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet<M> {
        let granted = self.custom_role.unwrap_or_else(|| PermissionSet::of_role(self.role));
        let actor = self.actor_role.map_or_else(PermissionSet::all, PermissionSet::of_role);
        granted.intersection(actor).intersection(self.limit)
    }

    /// Whether [`permissions`](Self::permissions) has `permission`, without making the set.
    fn has(&self, permission: M::Permission) -> bool {
        let is_granted = match self.custom_role {
            Some(granted) => granted.contains(permission),
            None => M::role_grants(self.role, permission),
        };
        is_granted
            && self.limit.contains(permission)
            && self.actor_role.is_none_or(|role| M::role_grants(role, permission))
    }
}

crate::text_enum! {
    /// An operator's brake on one tenant, whatever it has paid.
    #[derive(Default)]
    pub enum Suspension {
        /// Not suspended.
        #[default]
        None = "none",
        /// Members can read and not write.
        ReadOnly = "read_only",
        /// Members can do nothing.
        Full = "full",
    }
}

/// Everything needed to decide what one principal may do in one tenant.
///
/// It is a snapshot: good for refusing early and for choosing what to show. A transaction does not
/// trust it and decides once more on the facts it finds (see `pg::Tenants::begin`).
pub struct Access<M: AccessModel> {
    tenant: TenantId,
    principal: Principal,
    facts: Facts<M>,
}

impl<M: AccessModel> Access<M> {
    /// States that `principal` is a member of `tenant` with these facts.
    ///
    /// Named so that every place where access begins can be found by searching for `assertion`.
    /// Only the membership loader and tests should call it.
    #[must_use]
    pub const fn assertion(tenant: TenantId, principal: Principal, facts: Facts<M>) -> Self {
        Self { tenant, principal, facts }
    }

    /// Checks suspension, permission and billing together, and keeps the answer as a value.
    ///
    /// # Errors
    ///
    /// In this order, so that a viewer of a lapsed tenant is not invited to pay for something that
    /// they could not do anyway: [`Denied::NotAMember`] for a credential that is bound to another
    /// tenant; [`Denied::Suspended`] for a full suspension; [`Denied::Forbidden`]
    /// when a link of the chain lacks the permission ([`Facts::permissions`]); [`Denied::Suspended`] for a write under a
    /// read-only suspension; [`Denied::PaymentRequired`] when billing stands in the way.
    pub fn authorize<P: Permission<Model = M>>(&self) -> Result<Grant<P>, Denied> {
        self.check::<P>()?;
        Ok(Grant::new(*self))
    }

    /// The decision of [`authorize`](Self::authorize) without a grant to act on.
    ///
    /// # Errors
    ///
    /// Those of [`authorize`](Self::authorize).
    pub fn check<P: Permission<Model = M>>(&self) -> Result<(), Denied> {
        let facts = &self.facts;
        // Sources of access refuse it themselves. With this check, none has to be trusted with it.
        if !self.principal.may_act_in(self.tenant) {
            return Err(Denied::NotAMember);
        }
        if facts.suspension == Suspension::Full {
            return Err(Denied::Suspended);
        }
        if !facts.has(P::KEY) {
            return Err(Denied::Forbidden);
        }
        check_tenant::<P>(facts.plan, facts.standing, facts.suspension)
    }

    /// What the decisions rest on.
    #[must_use]
    pub const fn facts(&self) -> &Facts<M> {
        &self.facts
    }

    /// The tenant in question.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.principal
    }

    /// Returns whether `rule` holds for each role of the caller: their own, and that of the service account which acts on
    /// their behalf, if one does. Rules about rows and members ask this, as the [`MemberPolicy`] does, so that an account
    /// does for a member only what both may.
    ///
    /// [`MemberPolicy`]: crate::member_policy::MemberPolicy
    #[must_use]
    pub fn each_role(&self, rule: impl Fn(M::Role) -> bool) -> bool {
        rule(self.facts.role) && self.facts.actor_role.is_none_or(rule)
    }

    /// The caller's role in the tenant. Of a caller with a custom role it is the role that this one is based on, so it
    /// decides about rows and members, and [`permissions`](Self::permissions) says what the caller holds.
    #[must_use]
    pub const fn role(&self) -> M::Role {
        self.facts.role
    }

    /// What the caller holds in the tenant: what each link of the chain has ([`Facts::permissions`]).
    #[must_use]
    pub fn permissions(&self) -> PermissionSet<M> {
        self.facts.permissions()
    }

    /// The tenant's plan.
    #[must_use]
    pub const fn plan(&self) -> M::Plan {
        self.facts.plan
    }

    /// Where the tenant's payments stand.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.facts.standing
    }

    /// Whether an operator has stopped the tenant.
    #[must_use]
    pub const fn suspension(&self) -> Suspension {
        self.facts.suspension
    }
}

// Not derived: a derive would ask for `M: Clone` and `M: Debug`, and models are bare markers.
impl<M: AccessModel> Clone for Facts<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: AccessModel> Copy for Facts<M> {}

impl<M: AccessModel> fmt::Debug for Facts<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("role", &self.role)
            .field("actor_role", &self.actor_role)
            .field("custom_role", &self.custom_role)
            .field("plan", &self.plan)
            .field("standing", &self.standing)
            .field("suspension", &self.suspension)
            .field("limit", &self.limit)
            .finish()
    }
}

impl<M: AccessModel> Clone for Access<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: AccessModel> Copy for Access<M> {}

impl<M: AccessModel> fmt::Debug for Access<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("tenant", &self.tenant)
            .field("principal", &self.principal)
            .field("facts", &self.facts)
            .finish()
    }
}

/// Checks what a tenant allows anyone who holds `P`, unless it is fully suspended.
pub(super) fn check_tenant<P: Permission>(
    plan: <P::Model as AccessModel>::Plan,
    standing: Standing,
    suspension: Suspension,
) -> Result<(), Denied> {
    if suspension == Suspension::ReadOnly && P::Effect::VALUE == Effect::Write {
        return Err(Denied::Suspended);
    }
    let is_paid = match P::BILLING {
        Billing::Exempt => true,
        Billing::Required => standing != Standing::Lapsed && P::Model::plan_includes(plan, P::KEY),
    };
    if is_paid { Ok(()) } else { Err(Denied::PaymentRequired) }
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The role does not carry the permission, or the credential is limited to others.
    #[error("role or credential does not carry the permission")]
    Forbidden,
    /// The credential is bound to another tenant: a stranger's, and to be answered like one.
    #[error("credential is bound to another tenant")]
    NotAMember,
    /// The tenant's plan or payment does not cover it.
    #[error("plan or payment does not cover the permission")]
    PaymentRequired,
    /// An operator has suspended the tenant.
    #[error("tenant is suspended")]
    Suspended,
}
