//! Two variants with the same text.

mt_core::text_enum! {
    enum Plan {
        Free = "free",
        Team = "free",
    }
}

fn main() {}
