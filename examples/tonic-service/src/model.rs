//! The access model of the service: roles, plans and permissions.

mt_core::model! {
    /// The access model of the application.
    pub Notebook;

    roles Role { Editor = "editor" (owner), Reader = "reader" }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        //                        Editor Reader  Free
        NotesAdd = "notes.add"   [yes    no]    [yes] required write;
        NotesRead = "notes.read" [yes    yes]   [yes] exempt read;
    }
}
