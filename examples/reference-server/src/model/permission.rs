//! The permissions, each as a type, with its billing rule and its effect.

use mt_core::access::{Billing, Effect, Implies, Permission};
use mt_core::text_enum;

use super::Product;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $billing:ident, $effect:ident;)*) => {
        text_enum! {
            /// The closed list of permissions.
            pub enum Perm {
                $($(#[$doc])* $name = $text,)*
            }
        }

        impl Perm {
            /// Returns whether an org with lapsed payments keeps the permission.
            #[must_use]
            pub const fn billing(self) -> Billing {
                match self {
                    $(Self::$name => $name::BILLING,)*
                }
            }

            /// Returns whether the permission covers writes.
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
    /// Reading the audit log.
    AuditRead = "audit.read", Exempt, Read;
    /// Creating the Stripe customer, subscribing, opening the customer portal.
    BillingManage = "billing.manage", Exempt, Write;
    /// Reading plan, status and period of the subscription.
    BillingRead = "billing.read", Exempt, Read;
    /// Creating invites.
    InvitesCreate = "invites.create", Required, Write;
    /// Listing invites.
    InvitesRead = "invites.read", Exempt, Read;
    /// Revoking invites.
    InvitesRevoke = "invites.revoke", Exempt, Write;
    /// Changing members' roles.
    MembersAssign = "members.assign", Required, Write;
    /// Listing members.
    MembersRead = "members.read", Exempt, Read;
    /// Removing members, and leaving.
    MembersRemove = "members.remove", Exempt, Write;
    /// Deleting the org.
    OrgDelete = "org.delete", Exempt, Write;
    /// Exporting all data of the org.
    OrgExport = "org.export", Exempt, Read;
    /// Reading the org.
    OrgRead = "org.read", Exempt, Read;
    /// Renaming the org.
    OrgUpdate = "org.update", Required, Write;
    /// Creating projects.
    ProjectsCreate = "projects.create", Required, Write;
    /// Deleting projects, with their tasks.
    ProjectsDelete = "projects.delete", Required, Write;
    /// Reading projects.
    ProjectsRead = "projects.read", Exempt, Read;
    /// Renaming projects.
    ProjectsUpdate = "projects.update", Required, Write;
    /// Creating tasks.
    TasksCreate = "tasks.create", Required, Write;
    /// Deleting tasks.
    TasksDelete = "tasks.delete", Required, Write;
    /// Reading tasks.
    TasksRead = "tasks.read", Exempt, Read;
    /// Changing tasks: any task, or as a member their own.
    TasksUpdate = "tasks.update", Required, Write;
}

/// A user who manages billing may read it.
impl Implies<BillingRead> for BillingManage {}
/// A response to renaming an org shows the org.
impl Implies<OrgRead> for OrgUpdate {}
