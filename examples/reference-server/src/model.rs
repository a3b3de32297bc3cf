//! The access model of the product: its roles, plans, permissions and caps.
//!
//! `tests/it/access/policy.rs` prints it as a table and compares it with the committed one.

mt_core::model! {
    /// The application: teams manage projects and tasks.
    pub Product: audited;

    roles Role {
        /// May do everything. Each org has at least one owner.
        Owner = "owner" (owner),
        /// Manages projects, tasks and members.
        Admin = "admin",
        /// Reads, creates tasks, and changes their own tasks.
        Member = "member",
    }

    // The plans differ in their caps, not in their features.
    plans Plan {
        /// All features, with caps.
        Free = "free" (initial),
        /// All features, without caps.
        Pro = "pro",
    }

    // Which task may be changed and which member removed depends on a row; the handlers decide that.
    permissions Perm {
        //                                   Owner Admin Member  Free Pro
        /// Creating, rotating, narrowing and revoking API keys: their own, and those that the rules for members allow.
        ApiKeysManage = "api_keys.manage"   [yes   yes   yes]   [yes  yes] exempt write;
        /// Listing API keys.
        ApiKeysRead = "api_keys.read"       [yes   yes   yes]   [yes  yes] exempt read;
        /// Reading the audit log.
        AuditRead = "audit.read"            [yes   yes   no]    [yes  yes] exempt read;
        /// Creating the Stripe customer, subscribing, opening the customer portal.
        BillingManage = "billing.manage"    [yes   no    no]    [yes  yes] exempt write + BillingRead;
        /// Reading plan, status and period of the subscription.
        BillingRead = "billing.read"        [yes   yes   yes]   [yes  yes] exempt read;
        /// Creating invites.
        InvitesCreate = "invites.create"    [yes   yes   no]    [yes  yes] required write;
        /// Listing invites.
        InvitesRead = "invites.read"        [yes   yes   no]    [yes  yes] exempt read;
        /// Revoking invites.
        InvitesRevoke = "invites.revoke"    [yes   yes   no]    [yes  yes] exempt write;
        /// Changing members' roles.
        MembersAssign = "members.assign"    [yes   no    no]    [yes  yes] required write;
        /// Listing members.
        MembersRead = "members.read"        [yes   yes   yes]   [yes  yes] exempt read;
        /// Removing members, and leaving.
        MembersRemove = "members.remove"    [yes   yes   yes]   [yes  yes] exempt write;
        /// Deleting the org.
        OrgDelete = "org.delete"            [yes   no    no]    [yes  yes] exempt write;
        /// Exporting all data of the org.
        OrgExport = "org.export"            [yes   no    no]    [yes  yes] exempt read;
        /// Reading the org.
        OrgRead = "org.read"                [yes   yes   yes]   [yes  yes] exempt read;
        /// Renaming the org.
        OrgUpdate = "org.update"            [yes   no    no]    [yes  yes] required write + OrgRead;
        /// Creating projects.
        ProjectsCreate = "projects.create"  [yes   yes   no]    [yes  yes] required write;
        /// Deleting projects, with their tasks.
        ProjectsDelete = "projects.delete"  [yes   yes   no]    [yes  yes] required write;
        /// Reading projects.
        ProjectsRead = "projects.read"      [yes   yes   yes]   [yes  yes] exempt read;
        /// Renaming projects.
        ProjectsUpdate = "projects.update"  [yes   yes   no]    [yes  yes] required write;
        /// Creating service accounts, changing their roles, deleting them.
        ServiceAccountsManage = "service_accounts.manage" [yes yes no] [yes yes] exempt write;
        /// Listing service accounts.
        ServiceAccountsRead = "service_accounts.read" [yes yes yes] [yes yes] exempt read;
        /// Creating tasks.
        TasksCreate = "tasks.create"        [yes   yes   yes]   [yes  yes] required write;
        /// Deleting tasks.
        TasksDelete = "tasks.delete"        [yes   yes   no]    [yes  yes] required write;
        /// Reading tasks.
        TasksRead = "tasks.read"            [yes   yes   yes]   [yes  yes] exempt read;
        /// Changing tasks: any task, or as a member their own.
        TasksUpdate = "tasks.update"        [yes   yes   yes]   [yes  yes] required write;
    }

    members {
        Owner invites [Admin, Member] assigns [Owner, Admin, Member] removes [Owner, Admin, Member];
        Admin invites [Member] removes [Member];
    }

    caps {
        /// Projects of an org.
        Projects of app.projects { Free: 3, Pro: none }
        /// Tasks of an org, over all its projects and in every status.
        Tasks of app.tasks { Free: 100, Pro: none }
        /// Members of an org and, for invites, its pending invites.
        Seats of members { Free: 4, Pro: none }
        /// API keys of an org that can be used.
        ApiKeys of api_keys { Free: 5, Pro: none }
    }
}
