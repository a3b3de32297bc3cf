//! The access model of the service: roles, plans and permissions.

mt_core::model! {
    /// The access model of the application.
    pub Mall;

    roles Role { Keeper = "keeper" (owner) }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        //                                 Keeper  Free
        VisitorsCount = "visitors.count"  [yes]   [yes] required write;
        VisitorsRead = "visitors.read"    [yes]   [yes] exempt read;
    }
}
