//! The caller.

use crate::id::PrincipalId;

/// Who a verified credential speaks for.
///
/// `generation` is the credential's copy of the user's session generation. Signing out everywhere
/// moves the stored one on, and the query that reads the membership compares the two, so that a
/// signed-out token ends at the next transaction and costs no query of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Principal {
    id: PrincipalId,
    generation: Option<i32>,
}

impl Principal {
    /// A principal whose credential cannot be signed out (an API key that is looked up each time).
    #[must_use]
    pub const fn new(id: PrincipalId) -> Self {
        Self { id, generation: None }
    }

    /// A principal whose credential was issued in this session generation.
    #[must_use]
    pub const fn in_generation(id: PrincipalId, generation: i32) -> Self {
        Self { id, generation: Some(generation) }
    }

    /// Whose credential it is.
    #[must_use]
    pub const fn id(self) -> PrincipalId {
        self.id
    }

    /// The session generation that the credential was issued in, if it has one.
    #[must_use]
    pub const fn generation(self) -> Option<i32> {
        self.generation
    }
}
