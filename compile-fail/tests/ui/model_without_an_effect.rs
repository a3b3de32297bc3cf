//! A permission says whether it needs payment and whether it writes.

mt_core::model! {
    pub Notebook;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        NotesRead = "notes.read" [yes] [yes] exempt;
    }
}

fn main() {}
