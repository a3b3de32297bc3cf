//! A permission covers another only if each role with the first has the second.

mt_core::model! {
    pub Notebook;
    roles Role { Owner = "owner" (owner), Auditor = "auditor" }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        NotesRead = "notes.read" [yes no] [yes] exempt read;
        NotesExport = "notes.export" [yes yes] [yes] required read + NotesRead;
    }
}

fn main() {}
