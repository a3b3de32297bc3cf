//! Who may do what.

mt::model! {
    /// Shops with tickets.
    pub Helpdesk: audited;
    roles Role { Owner = "owner" (owner), Agent = "agent", Viewer = "viewer" }
    plans Plan { Basic = "basic" (initial), Plus = "plus" }
    permissions Permission {
        //                                 Owner Agent Viewer  Basic Plus
        ShopRead = "shop.read"            [yes   yes   yes]   [yes  yes] exempt   read;
        ShopManage = "shop.manage"        [yes   no    no]    [yes  yes] exempt   write + ShopRead;
        InvitesRead = "invites.read"      [yes   no    no]    [yes  yes] exempt   read;
        TicketsRead = "tickets.read"      [yes   yes   yes]   [yes  yes] exempt   read;
        TicketsWrite = "tickets.write"    [yes   yes   no]    [yes  yes] required write + TicketsRead;
        TicketsDelete = "tickets.delete"  [yes   no    no]    [yes  yes] exempt   write + TicketsRead;
    }
    caps {
        Tickets of helpdesk.tickets { Basic: 5, Plus: none }
        Seats of members { Basic: none, Plus: none }
        Keys of api_keys { Basic: 5, Plus: none }
    }
    services {
        /// Deletes closed tickets at night.
        Purger = "ticket-purger" [TicketsDelete];
    }
}
