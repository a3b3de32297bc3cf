//! What can be done, as words.

use uuid::Uuid;

use super::NewEntry;

/// Something that can be done, and the kind of thing that it is done to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Action {
    word: &'static str,
    target: &'static str,
}

impl Action {
    /// Names an action: `note.deleted`, done to a `note`.
    #[must_use]
    pub const fn new(word: &'static str, target: &'static str) -> Self {
        Self { word, target }
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.word
    }

    /// The kind of thing that it is done to.
    #[must_use]
    pub const fn target(self) -> &'static str {
        self.target
    }

    /// That it was done to the one with this id.
    pub fn on(self, id: Uuid) -> NewEntry {
        NewEntry::new(self, id)
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $target:literal;)*) => {
        $($(#[$doc])* pub const $name: Action = Action::new($word, $target);)*

        /// All that the library itself records.
        pub const ACTIONS: &[Action] = &[$($name,)*];
    };
}

actions! {
    /// An API key was created.
    API_KEY_CREATED = "api_key.created", "api_key";
    /// An API key was limited to fewer permissions.
    API_KEY_NARROWED = "api_key.narrowed", "api_key";
    /// An API key was revoked.
    API_KEY_REVOKED = "api_key.revoked", "api_key";
    /// A second key was created to replace an API key.
    API_KEY_ROTATED = "api_key.rotated", "api_key";
    /// A domain was claimed. It is not verified yet.
    DOMAIN_CLAIMED = "domain.claimed", "domain";
    /// The record of a verified domain was missing for too long, so it is not verified any more.
    DOMAIN_LOST = "domain.lost", "domain";
    /// A domain was given up.
    DOMAIN_REMOVED = "domain.removed", "domain";
    /// The tenant has proved that it controls a domain.
    DOMAIN_VERIFIED = "domain.verified", "domain";
    /// A person was invited.
    INVITE_CREATED = "invite.created", "invite";
    /// An open invite was sent again, and the token of before is dead.
    INVITE_RENEWED = "invite.renewed", "invite";
    /// An invite was taken back.
    INVITE_REVOKED = "invite.revoked", "invite";
    /// An operator has cancelled a job.
    JOB_CANCELLED = "job.cancelled", "job";
    /// An operator has had a job run again.
    JOB_RETRIED = "job.retried", "job";
    /// A person has become a member.
    MEMBER_JOINED = "member.joined", "member";
    /// A member has left.
    MEMBER_LEFT = "member.left", "member";
    /// A member was removed by another, or an operator has deleted the user.
    MEMBER_REMOVED = "member.removed", "member";
    /// A member was given another role.
    MEMBER_ROLE_CHANGED = "member.role_changed", "member";
    /// A custom role was changed.
    ROLE_CHANGED = "role.changed", "role";
    /// A custom role was made.
    ROLE_CREATED = "role.created", "role";
    /// A custom role was deleted.
    ROLE_DELETED = "role.deleted", "role";
    /// A service account was created.
    SERVICE_ACCOUNT_CREATED = "service_account.created", "service_account";
    /// A service account was deleted, and its API keys with it.
    SERVICE_ACCOUNT_DELETED = "service_account.deleted", "service_account";
    /// A service account was given another role.
    SERVICE_ACCOUNT_ROLE_CHANGED = "service_account.role_changed", "service_account";
    /// The tenant was made.
    TENANT_CREATED = "tenant.created", "tenant";
    /// The tenant was deleted: in the log of the process, for the tenant's own is gone.
    TENANT_DELETED = "tenant.deleted", "tenant";
    /// All that the tenant has was read out.
    TENANT_EXPORTED = "tenant.exported", "tenant";
    /// The tenant was made from what another has been.
    TENANT_IMPORTED = "tenant.imported", "tenant";
    /// An operator has put the tenant on another plan.
    TENANT_PLAN_CHANGED = "tenant.plan_changed", "tenant";
    /// The tenant was given another name.
    TENANT_RENAMED = "tenant.renamed", "tenant";
    /// The tenant was given a slug, another one, or none.
    TENANT_SLUG_CHANGED = "tenant.slug_changed", "tenant";
    /// An operator has stopped the tenant, or let it go on.
    TENANT_SUSPENSION_CHANGED = "tenant.suspension_changed", "tenant";
}
