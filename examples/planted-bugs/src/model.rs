//! Roles and permissions in a shop.

use mt_core::pg::audit_log::Action;

mt_core::model! {
    /// The application.
    pub Helpdesk: audited;

    roles Role {
        /// Does everything.
        Owner = "owner" (owner),
        /// Answers tickets.
        Agent = "agent",
        /// Reads tickets.
        Viewer = "viewer",
    }
    plans Plan {
        /// Without exports.
        Free = "free" (initial),
        /// With exports.
        Plus = "plus",
    }
    permissions Key {
        //                                 Owner Agent Viewer  Free Plus
        TicketsRead = "tickets.read"      [yes   yes   yes]   [yes  yes] exempt read;
        TicketsWrite = "tickets.write"    [yes   yes   no]    [yes  yes] required write + TicketsRead;
        TicketsDelete = "tickets.delete"  [yes   no    no]    [yes  yes] exempt write;
        TicketsExport = "tickets.export"  [yes   no    no]    [no   yes] required read + TicketsRead;
        MembersInvite = "members.invite"  [yes   yes   no]    [yes  yes] required write;
    }
    members {
        Owner invites [Owner, Agent, Viewer] assigns [Owner, Agent, Viewer] removes [Owner, Agent, Viewer];
        Agent invites [Viewer];
    }
    caps {
        /// Members and open invites.
        Seats of members { Free: 5, Plus: none }
    }
}

pub(crate) const TICKET_CREATED: Action = Action::new("ticket.created", "ticket");
pub(crate) const TICKET_CHANGED: Action = Action::new("ticket.changed", "ticket");
pub(crate) const TICKET_DELETED: Action = Action::new("ticket.deleted", "ticket");
pub(crate) const COMMENT_CREATED: Action = Action::new("comment.created", "comment");
pub(crate) const DIGEST_CREATED: Action = Action::new("digest.created", "digest");
pub(crate) const INVITE_FORGED: Action = Action::new("invite.made", "invite");
