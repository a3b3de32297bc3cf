//! The plans.

use mt_core::word::Word;

/// What an org has subscribed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plan {
    /// Everything, up to caps.
    Free,
    /// Everything, without caps.
    Pro,
}

impl Word for Plan {
    const ALL: &'static [Self] = &[Self::Free, Self::Pro];

    fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
        }
    }
}
