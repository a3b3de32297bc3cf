//! The vocabulary that each case misuses.

use mt_core::access::{AccessModel, Billing, Implies, Permission, Reads, Unaudited, Writes};
use mt_core::pg::Resource;
use mt_core::member_policy::MemberPolicy;

mt_core::text_enum! {
    pub enum Role {
        Owner = "owner",
    }
}

mt_core::text_enum! {
    pub enum Plan {
        Free = "free",
    }
}

mt_core::text_enum! {
    pub enum Perm {
        InvoicesRead = "invoices.read",
        ProjectsRead = "projects.read",
        ProjectsWrite = "projects.write",
    }
}

pub struct Acme;

impl AccessModel for Acme {
    type Role = Role;
    type Plan = Plan;
    type Permission = Perm;
    type Auditing = Unaudited;
    const INITIAL_PLAN: Plan = Plan::Free;

    fn role_grants(_: Role, _: Perm) -> bool {
        true
    }

    fn plan_includes(_: Plan, _: Perm) -> bool {
        true
    }
}

impl MemberPolicy for Acme {
    const OWNER: Role = Role::Owner;

    fn may_invite(_: Role, _: Role) -> bool {
        true
    }

    fn may_assign(_: Role, _: Role, _: Role) -> bool {
        true
    }

    fn may_remove(_: Role, _: Role) -> bool {
        true
    }
}

pub struct InvoicesRead;

impl Permission for InvoicesRead {
    type Model = Acme;
    type Effect = Reads;
    const KEY: Perm = Perm::InvoicesRead;
    const BILLING: Billing = Billing::Exempt;
}

pub struct ProjectsRead;

impl Permission for ProjectsRead {
    type Model = Acme;
    type Effect = Reads;
    const KEY: Perm = Perm::ProjectsRead;
    const BILLING: Billing = Billing::Required;
}

pub struct ProjectsWrite;

impl Permission for ProjectsWrite {
    type Model = Acme;
    type Effect = Writes;
    const KEY: Perm = Perm::ProjectsWrite;
    const BILLING: Billing = Billing::Required;
}

impl Implies<ProjectsRead> for ProjectsWrite {}

pub struct Projects;

impl Resource for Projects {
    type Model = Acme;
    const NAME: &'static str = "projects";
    const ROWS: &'static str = "select 1 from app.projects";

    fn cap(_: Plan) -> Option<u32> {
        Some(3)
    }
}
