//! Who may do what in a shop.

use mt_core::access::{AccessModel, Billing, Effect, Implies, Permission};
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{Resource, invites};
use mt_core::text_enum;

/// The application.
#[derive(Debug)]
pub struct Helpdesk;

text_enum! {
    /// The role of a member.
    pub enum Role {
        /// Does everything.
        Owner = "owner",
        /// Answers tickets.
        Agent = "agent",
        /// Reads tickets.
        Viewer = "viewer",
    }
}

text_enum! {
    /// The plan of a shop.
    pub enum Plan {
        /// Without exports.
        Free = "free",
        /// With exports.
        Plus = "plus",
    }
}

text_enum! {
    /// The permissions.
    pub enum Key {
        /// Reading tickets.
        TicketsRead = "tickets.read",
        /// Creating and changing tickets.
        TicketsWrite = "tickets.write",
        /// Deleting tickets.
        TicketsDelete = "tickets.delete",
        /// Exporting tickets.
        TicketsExport = "tickets.export",
        /// Inviting members.
        MembersInvite = "members.invite",
    }
}

impl AccessModel for Helpdesk {
    type Role = Role;
    type Plan = Plan;
    type Permission = Key;

    const AUDITED: bool = true;

    fn role_grants(role: Role, key: Key) -> bool {
        match (key, role) {
            (Key::TicketsRead, _)
            | (_, Role::Owner)
            | (Key::TicketsWrite | Key::MembersInvite, Role::Agent) => true,
            (_, Role::Viewer) | (Key::TicketsDelete | Key::TicketsExport, Role::Agent) => false,
        }
    }

    fn plan_includes(plan: Plan, key: Key) -> bool {
        match (plan, key) {
            (Plan::Free, Key::TicketsExport) => false,
            (Plan::Free | Plan::Plus, _) => true,
        }
    }

    fn is_owner(role: Role) -> bool {
        role == Role::Owner
    }
}

impl MemberPolicy for Helpdesk {
    const OWNER: Role = Role::Owner;

    fn may_invite(by: Role, role: Role) -> bool {
        by == Role::Owner || (by == Role::Agent && role == Role::Viewer)
    }

    fn may_assign(by: Role, _: Role, _: Role) -> bool {
        by == Role::Owner
    }

    fn may_remove(by: Role, _: Role) -> bool {
        by == Role::Owner
    }
}

macro_rules! permissions {
    ($($name:ident: $billing:ident, $effect:ident;)+) => {$(
        #[doc = concat!("The permission `", stringify!($name), "`.")]
        pub(crate) struct $name;

        impl Permission for $name {
            type Model = Helpdesk;
            const KEY: Key = Key::$name;
            const BILLING: Billing = Billing::$billing;
            const EFFECT: Effect = Effect::$effect;
        }
    )+};
}

permissions! {
    TicketsRead: Exempt, Read;
    TicketsWrite: Required, Write;
    TicketsDelete: Exempt, Write;
    TicketsExport: Required, Read;
    MembersInvite: Required, Write;
}

impl Implies<TicketsRead> for TicketsWrite {}
impl Implies<TicketsRead> for TicketsExport {}

/// Members and open invites.
pub(crate) struct Seats;

impl Resource for Seats {
    type Model = Helpdesk;
    const NAME: &'static str = "members";
    const ROWS: &'static str = invites::SEATS;

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(5),
            Plan::Plus => None,
        }
    }
}

pub(crate) const TICKET_CREATED: Action = Action::new("ticket.created", "ticket");
pub(crate) const TICKET_CHANGED: Action = Action::new("ticket.changed", "ticket");
pub(crate) const TICKET_DELETED: Action = Action::new("ticket.deleted", "ticket");
pub(crate) const COMMENT_CREATED: Action = Action::new("comment.created", "comment");
pub(crate) const DIGEST_CREATED: Action = Action::new("digest.created", "digest");
pub(crate) const INVITE_FORGED: Action = Action::new("invite.made", "invite");
