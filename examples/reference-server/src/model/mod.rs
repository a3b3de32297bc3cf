//! The access model of the product: its roles, plans, permissions and caps.
//!
//! The decisions in this folder are pure. `tests/it/access/policy.rs` prints them as a table and compares it with the
//! committed one.

mod cap;
mod permission;
mod plan;
mod role;

use mt_core::access::AccessModel;
use mt_core::member_policy::MemberPolicy;

pub use self::cap::{Projects, Seats, Tasks};
pub use self::permission::*;
pub use self::plan::Plan;
pub use self::role::Role;

/// The application: teams manage projects and tasks.
#[derive(Clone, Copy, Debug)]
pub struct Product;

impl AccessModel for Product {
    type Role = Role;
    type Plan = Plan;
    type Permission = Perm;
    const AUDITED: bool = true;

    fn role_grants(role: Role, permission: Perm) -> bool {
        use Role::{Admin, Member, Owner};
        match permission {
            // Which task may be changed and which member removed depends on a row; the handlers decide that.
            Perm::BillingRead
            | Perm::MembersRead
            | Perm::MembersRemove
            | Perm::OrgRead
            | Perm::ProjectsRead
            | Perm::TasksCreate
            | Perm::TasksRead
            | Perm::TasksUpdate => matches!(role, Owner | Admin | Member),
            Perm::AuditRead
            | Perm::InvitesCreate
            | Perm::InvitesRead
            | Perm::InvitesRevoke
            | Perm::ProjectsCreate
            | Perm::ProjectsDelete
            | Perm::ProjectsUpdate
            | Perm::TasksDelete => matches!(role, Owner | Admin),
            Perm::BillingManage
            | Perm::MembersAssign
            | Perm::OrgDelete
            | Perm::OrgExport
            | Perm::OrgUpdate => matches!(role, Owner),
        }
    }

    fn is_owner(role: Role) -> bool {
        role == Self::OWNER
    }

    /// The plans differ in their caps, not in their features.
    fn plan_includes(plan: Plan, _: Perm) -> bool {
        match plan {
            Plan::Free | Plan::Pro => true,
        }
    }
}

impl MemberPolicy for Product {
    const OWNER: Role = Role::Owner;

    fn may_invite(by: Role, role: Role) -> bool {
        match by {
            Role::Owner => matches!(role, Role::Admin | Role::Member),
            Role::Admin => matches!(role, Role::Member),
            Role::Member => false,
        }
    }

    fn may_assign(by: Role, _from: Role, _to: Role) -> bool {
        matches!(by, Role::Owner)
    }

    fn may_remove(by: Role, member: Role) -> bool {
        match by {
            Role::Owner => true,
            Role::Admin => matches!(member, Role::Member),
            Role::Member => false,
        }
    }
}
