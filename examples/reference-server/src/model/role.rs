//! The roles.

use mt_core::word::Word;

/// What a membership lets its holder do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Everything; at least one in each org, always.
    Owner,
    /// The product, and members below them.
    Admin,
    /// Reading, making tasks, and changing their own.
    Member,
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Owner, Self::Admin, Self::Member];

    fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}
