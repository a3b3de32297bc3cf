//! A seat in use.

use std::fmt;

use super::{Requester, Shares};

/// A permit for one connection. It is given back when it is dropped.
#[must_use = "a seat is given back when it is dropped"]
pub struct Seat {
    held: Option<(Shares, Requester)>,
}

impl Seat {
    pub(super) const fn new(shares: Shares, requester: Requester) -> Self {
        Self { held: Some((shares, requester)) }
    }

    /// Creates the seat of a requester that needs none.
    #[cfg(feature = "postgres")]
    pub(crate) const fn not_needed() -> Self {
        Self { held: None }
    }

    /// Moves the seat out. The rest gives nothing back.
    #[cfg(feature = "postgres")]
    pub(crate) const fn take(&mut self) -> Self {
        Self { held: self.held.take() }
    }

    /// Returns the requester, without giving the seat back.
    pub(super) fn disarm(mut self) -> Option<Requester> {
        self.held.take().map(|(_, requester)| requester)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((shares, requester)) = self.held.take() {
            shares.give_back(requester);
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.held.as_ref().map(|(_, requester)| requester)).finish()
    }
}
