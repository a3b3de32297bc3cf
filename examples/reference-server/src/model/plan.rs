//! The plans.

mt_core::text_enum! {
    /// The plan of an org.
    pub enum Plan {
        /// All features, with caps.
        Free = "free",
        /// All features, without caps.
        Pro = "pro",
    }
}
