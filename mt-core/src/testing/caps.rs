//! Whether a cap holds when everybody creates at once: a race to run against one's own resources.
//!
//! A cap that is counted before the insert, in the insert, or under a shared lock holds in every test
//! with one client and breaks under load. [`CapRace`] starts its clients at the same moment, many times
//! over, in three stages: against an empty place, against a full one, and against one that was full
//! until somebody made room. After each it asks how many there are, and expects neither more than the
//! cap nor fewer than there was room for.
//!
//! # Example
//!
//! ```
//! use mt_core::testing::caps::{Attempt, CapRace, Capped};
//! # use mt_core::id::TenantId;
//! # struct App;
//! # impl App {
//! #     async fn new_tenant(&self) -> TenantId { unreachable!() }
//! #     async fn create_note(&self, _: &TenantId) -> Result<(), u16> { unreachable!() }
//! #     async fn delete_a_note(&self, _: &TenantId) { unreachable!() }
//! #     async fn count_notes(&self, _: &TenantId) -> usize { unreachable!() }
//! # }
//!
//! /// Three notes on the free plan.
//! struct Notes(App);
//!
//! impl Capped for Notes {
//!     type Place = TenantId;
//!     const CAP: usize = 3;
//!
//!     async fn place(&self) -> TenantId { self.0.new_tenant().await }
//!     async fn create(&self, tenant: &TenantId) -> Attempt {
//!         match self.0.create_note(tenant).await {
//!             Ok(()) => Attempt::Created,
//!             Err(402) => Attempt::Refused,
//!             Err(other) => panic!("neither created nor refused: {other}"),
//!         }
//!     }
//!     async fn remove(&self, tenant: &TenantId) { self.0.delete_a_note(tenant).await }
//!     async fn count(&self, tenant: &TenantId) -> usize { self.0.count_notes(tenant).await }
//! }
//!
//! async fn three_notes_and_no_more(app: App) {
//!     CapRace::default().run(Notes(app)).await.unwrap();
//! }
//! ```

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// A resource with a cap, as its users see it.
pub trait Capped: Send + Sync + 'static {
    /// What the cap counts in: a tenant, mostly.
    type Place: Send + Sync + 'static;
    /// The most that a place may hold.
    const CAP: usize;

    /// A new place with nothing in it.
    fn place(&self) -> impl Future<Output = Self::Place> + Send;
    /// Tries to create one more. Panics on any answer but the two.
    fn create(&self, place: &Self::Place) -> impl Future<Output = Attempt> + Send;
    /// Removes one.
    fn remove(&self, place: &Self::Place) -> impl Future<Output = ()> + Send;
    /// How many there are, asked past the cap's own count where that can be.
    fn count(&self, place: &Self::Place) -> impl Future<Output = usize> + Send;
}

/// How an attempt to create went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// There is one more.
    Created,
    /// The cap is reached.
    Refused,
}

/// A crowd that creates at once, again and again.
#[derive(Clone, Copy, Debug)]
pub struct CapRace {
    clients: usize,
    rounds: usize,
}

impl Default for CapRace {
    /// 32 clients, 50 rounds.
    fn default() -> Self {
        Self { clients: 32, rounds: 50 }
    }
}

impl CapRace {
    /// How many create at once. More than the cap, or it is never reached.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// How often, each time in a new place.
    #[must_use]
    pub const fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Runs the race. On a runtime of several threads it is a closer one.
    ///
    /// # Errors
    ///
    /// [`CapBroken`] with the first stage that went wrong.
    ///
    /// # Panics
    ///
    /// When there are no more clients than the cap allows, and when `subject` panics.
    pub async fn run<C: Capped>(self, subject: C) -> Result<(), CapBroken> {
        assert!(self.clients > C::CAP, "{} clients cannot pass a cap of {}", self.clients, C::CAP);
        let subject = Arc::new(subject);
        for round in 0..self.rounds {
            let place = Arc::new(subject.place().await);
            for (stage, room) in [(Stage::Empty, C::CAP), (Stage::Full, 0), (Stage::Freed, 1)] {
                if stage == Stage::Freed {
                    subject.remove(&place).await;
                }
                let created = self.crowd(&subject, &place).await;
                let stored = subject.count(&place).await;
                if (created, stored) != (room, C::CAP) {
                    return Err(CapBroken { round, stage, cap: C::CAP, room, created, stored });
                }
            }
        }
        Ok(())
    }

    /// How many of a crowd created something.
    async fn crowd<C: Capped>(self, subject: &Arc<C>, place: &Arc<C::Place>) -> usize {
        let start = Arc::new(Barrier::new(self.clients));
        let mut clients = JoinSet::new();
        for _ in 0..self.clients {
            let (subject, place) = (Arc::clone(subject), Arc::clone(place));
            let start = Arc::clone(&start);
            clients.spawn(async move {
                start.wait().await;
                subject.create(&place).await
            });
        }
        let attempts = clients.join_all().await;
        attempts.into_iter().filter(|attempt| *attempt == Attempt::Created).count()
    }
}

/// When in a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The place was empty.
    Empty,
    /// It was filled to its cap.
    Full,
    /// One was removed from a full one.
    Freed,
}

/// A cap that did not hold, or that refused what there was room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "round {round}, {stage:?}: {created} were created where {room} had room, and {stored} are stored \
     under a cap of {cap}"
)]
#[non_exhaustive]
pub struct CapBroken {
    /// Which round, from 0.
    pub round: usize,
    /// Which part of it.
    pub stage: Stage,
    /// The cap.
    pub cap: usize,
    /// How many had room.
    pub room: usize,
    /// How many were told that theirs was created.
    pub created: usize,
    /// How many there were afterwards.
    pub stored: usize,
}
