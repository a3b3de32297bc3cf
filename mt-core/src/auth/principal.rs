//! The principal: who acts.

use chrono::{DateTime, Utc};

use crate::id::{ApiKeyId, IdentityId, PrincipalId, ServiceAccountId, TenantId};

/// A principal, identified by a verified credential, and the scope of that credential.
///
/// `generation` is the session generation that the credential was issued in. Signing out everywhere increments the
/// stored one, and the query that reads the membership compares the two, so a token that was signed out fails at the
/// next transaction without a query of its own.
///
/// A token of an identity provider knows no generation. It has the [time at which it was issued](Self::issued_at), which
/// the same query compares with the time of the last sign-out, and the [identity](Self::by_identity) that it stands for,
/// which the same query looks for.
///
/// # API keys and service accounts
///
/// A [service account](Self::service_account) is a principal of one tenant that is not a person. A principal whose
/// credential is an API key names the [key](Self::by_key), which the same query looks for: a key that was revoked or has
/// expired fails at the next transaction.
///
/// # On behalf of a user
///
/// A service account may [act on behalf](Self::acted_by) of a user, with a key that the user gave it, or with a token that
/// names it in the claim `act` (RFC 8693, section 4.1). The principal is the user. It may do what both may, and ends with
/// either.
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
    kind: PrincipalKind,
    generation: Option<i32>,
    issued_at: Option<DateTime<Utc>>,
    identity: Option<IdentityId>,
    key: Option<ApiKeyId>,
    actor: Option<ServiceAccountId>,
    tenant: Option<TenantId>,
}

crate::text_enum! {
    /// The kind of a principal.
    pub enum PrincipalKind {
        /// A person.
        User = "user",
        /// A service account: a program that belongs to one tenant.
        ServiceAccount = "service_account",
    }
}

impl Principal {
    /// Creates a principal whose credential has no session.
    #[must_use]
    pub const fn new(id: PrincipalId) -> Self {
        Self {
            id,
            kind: PrincipalKind::User,
            generation: None,
            issued_at: None,
            identity: None,
            key: None,
            actor: None,
            tenant: None,
        }
    }

    /// Creates the principal of a service account. It opens transactions with an [API key](Self::by_key) only.
    #[must_use]
    pub const fn service_account(account: ServiceAccountId) -> Self {
        let id = PrincipalId::from_uuid(account.as_uuid());
        Self { kind: PrincipalKind::ServiceAccount, ..Self::new(id) }
    }

    /// Creates a principal whose credential was issued in this session generation.
    #[must_use]
    pub const fn in_generation(id: PrincipalId, generation: i32) -> Self {
        Self { generation: Some(generation), ..Self::new(id) }
    }

    /// Sets the time at which the credential was issued: it ends when its user signs out everywhere.
    ///
    /// A sign-out ends every credential that was issued in its second or before: tokens tell the time in whole seconds,
    /// so of one from that second it is not known which came first.
    #[must_use]
    pub const fn issued_at(self, time: DateTime<Utc>) -> Self {
        Self { issued_at: Some(time), ..self }
    }

    /// Sets the identity at a provider that the credential stands for: it ends when the identity is unlinked.
    #[must_use]
    pub const fn by_identity(self, identity: IdentityId) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Sets the API key that is the credential, and limits the credential to the tenant of the key.
    #[must_use]
    pub const fn by_key(self, key: ApiKeyId, tenant: TenantId) -> Self {
        Self { key: Some(key), ..self }.bound_to(tenant)
    }

    /// Sets the service account that acts on behalf of the principal.
    ///
    /// With a token, it opens transactions in the account's tenant only: not those of a principal over all tenants.
    #[must_use]
    pub const fn acted_by(self, account: ServiceAccountId) -> Self {
        Self { actor: Some(account), ..self }
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

    /// Returns the kind of the principal.
    #[must_use]
    pub const fn kind(self) -> PrincipalKind {
        self.kind
    }

    /// Returns the API key that is the credential, if it is one.
    #[must_use]
    pub const fn key(self) -> Option<ApiKeyId> {
        self.key
    }

    /// Returns the service account that acts on behalf of the principal, if one does.
    #[must_use]
    pub const fn actor(self) -> Option<ServiceAccountId> {
        self.actor
    }

    /// Returns the session generation that the credential was issued in, if it has one.
    #[must_use]
    pub const fn generation(self) -> Option<i32> {
        self.generation
    }

    /// Returns the time at which the credential was issued, if it ends by that.
    #[must_use]
    pub const fn issue_time(self) -> Option<DateTime<Utc>> {
        self.issued_at
    }

    /// Returns the identity at a provider that the credential stands for, if it stands for one.
    #[must_use]
    pub const fn identity(self) -> Option<IdentityId> {
        self.identity
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
