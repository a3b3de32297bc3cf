//! A new role does not compile until each permission says whether the role has it.

mt_core::model! {
    pub Notebook;
    roles Role { Owner = "owner" (owner), Editor = "editor", Reader = "reader" }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        NotesRead = "notes.read" [yes yes yes] [yes] exempt read;
        NotesWrite = "notes.write" [yes yes] [yes] required write;
    }
}

fn main() {}
