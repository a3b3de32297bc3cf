//! The permissions, each a type, and whether it needs payment and whether it writes.

use mt_core::access::{Billing, Effect, Implies, Permission};
use mt_core::word::Word;

use super::Product;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $billing:ident, $effect:ident;)*) => {
        /// The closed list of permissions.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Perm {
            $($(#[$doc])* $name,)*
        }

        impl Word for Perm {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }

        impl Perm {
            /// Whether an unpaid org still has it.
            #[must_use]
            pub const fn billing(self) -> Billing {
                match self {
                    $(Self::$name => $name::BILLING,)*
                }
            }

            /// Whether it covers writing.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self {
                    $(Self::$name => $name::EFFECT,)*
                }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl Permission for $name {
                type Model = Product;
                const KEY: Perm = Perm::$name;
                const BILLING: Billing = Billing::$billing;
                const EFFECT: Effect = Effect::$effect;
            }
        )*
    };
}

permissions! {
    /// Reading who did what.
    AuditRead = "audit.read", Exempt, Read;
    /// Making the Stripe customer, subscribing, the portal.
    BillingManage = "billing.manage", Exempt, Write;
    /// Plan, status and period of the subscription.
    BillingRead = "billing.read", Exempt, Read;
    /// Inviting people.
    InvitesCreate = "invites.create", Required, Write;
    /// Listing invites.
    InvitesRead = "invites.read", Exempt, Read;
    /// Taking invites back.
    InvitesRevoke = "invites.revoke", Exempt, Write;
    /// Changing members' roles.
    MembersAssign = "members.assign", Required, Write;
    /// Listing members.
    MembersRead = "members.read", Exempt, Read;
    /// Removing members, and leaving.
    MembersRemove = "members.remove", Exempt, Write;
    /// Deleting the org.
    OrgDelete = "org.delete", Exempt, Write;
    /// Taking along all that the org has.
    OrgExport = "org.export", Exempt, Read;
    /// Seeing the org.
    OrgRead = "org.read", Exempt, Read;
    /// Renaming the org.
    OrgUpdate = "org.update", Required, Write;
    /// Making projects.
    ProjectsCreate = "projects.create", Required, Write;
    /// Deleting projects, with their tasks.
    ProjectsDelete = "projects.delete", Required, Write;
    /// Seeing projects.
    ProjectsRead = "projects.read", Exempt, Read;
    /// Renaming projects.
    ProjectsUpdate = "projects.update", Required, Write;
    /// Making tasks.
    TasksCreate = "tasks.create", Required, Write;
    /// Deleting tasks.
    TasksDelete = "tasks.delete", Required, Write;
    /// Seeing tasks.
    TasksRead = "tasks.read", Exempt, Read;
    /// Changing tasks: any, or for a member their own.
    TasksUpdate = "tasks.update", Required, Write;
}

/// Whoever manages payment sees who pays.
impl Implies<BillingRead> for BillingManage {}
/// Whoever renames an org is shown it.
impl Implies<OrgRead> for OrgUpdate {}
