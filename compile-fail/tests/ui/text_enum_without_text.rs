//! A variant without a text.

mt_core::text_enum! {
    enum Plan {
        Free = "free",
        Team,
    }
}

fn main() {}
