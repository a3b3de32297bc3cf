//! The roles.

mt_core::text_enum! {
    /// The role of a member.
    pub enum Role {
        /// May do everything. Each org has at least one owner.
        Owner = "owner",
        /// Manages projects, tasks and members.
        Admin = "admin",
        /// Reads, creates tasks, and changes their own tasks.
        Member = "member",
    }
}
