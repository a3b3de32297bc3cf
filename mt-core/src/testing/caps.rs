//! Tests whether a cap holds under concurrent creates.
//!
//! A cap that is checked before the insert, in the insert, or under a shared lock passes every test with one client
//! and fails under load. [`CapRace`] starts its clients at the same moment in many rounds of three stages: with no
//! rows, at the cap, and after one row was removed at the cap. After each stage it counts the rows, and expects
//! neither more than the cap nor fewer than there was room for.
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
//!
//!     fn cap(&self) -> usize { 3 }
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

/// A resource with a cap, as clients see it.
pub trait Capped: Send + Sync + 'static {
    /// The scope of the cap, in most cases a tenant.
    type Place: Send + Sync + 'static;
    /// The cap.
    fn cap(&self) -> usize;

    /// Creates a scope without rows.
    fn place(&self) -> impl Future<Output = Self::Place> + Send;
    /// Tries to create one row. Panics on any result other than the two.
    fn create(&self, place: &Self::Place) -> impl Future<Output = Attempt> + Send;
    /// Removes one row.
    fn remove(&self, place: &Self::Place) -> impl Future<Output = ()> + Send;
    /// Returns the number of rows, if possible by a query other than the cap's own.
    fn count(&self, place: &Self::Place) -> impl Future<Output = usize> + Send;
}

/// The result of an attempt to create a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// The row was created.
    Created,
    /// The cap refused it.
    Refused,
}

/// A test in which many clients create at once, repeatedly.
#[derive(Clone, Copy, Debug)]
pub struct CapRace {
    clients: usize,
    rounds: usize,
}

impl Default for CapRace {
    /// Returns a race of 32 clients and 50 rounds.
    fn default() -> Self {
        Self { clients: 32, rounds: 50 }
    }
}

impl CapRace {
    /// Sets the number of clients. It must be larger than the cap.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Sets the number of rounds, each in a new scope.
    #[must_use]
    pub const fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Runs the race. On a multi-threaded runtime more requests overlap.
    ///
    /// # Errors
    ///
    /// [`CapBroken`] with the first stage in which the cap did not hold.
    ///
    /// # Panics
    ///
    /// When the clients do not outnumber the cap, and when `subject` panics.
    pub async fn run<C: Capped>(self, subject: C) -> Result<(), CapBroken> {
        let cap = subject.cap();
        assert!(self.clients > cap, "{} clients cannot pass a cap of {cap}", self.clients);
        let subject = Arc::new(subject);
        for round in 0..self.rounds {
            let place = Arc::new(subject.place().await);
            for (stage, room) in [(Stage::Empty, cap), (Stage::Full, 0), (Stage::Freed, 1)] {
                if stage == Stage::Freed {
                    subject.remove(&place).await;
                }
                let created = self.crowd(&subject, &place).await;
                let stored = subject.count(&place).await;
                if (created, stored) != (room, cap) {
                    return Err(CapBroken { round, stage, cap, room, created, stored });
                }
            }
        }
        Ok(())
    }

    /// Starts all clients at once and returns how many created a row.
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

/// A stage of a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The scope had no rows.
    Empty,
    /// The scope was at its cap.
    Full,
    /// One row was removed at the cap.
    Freed,
}

/// The error of a cap that let too many rows through, or refused a row that there was room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "round {round}, {stage:?}: {created} were created where {room} had room, and {stored} are stored \
     under a cap of {cap}"
)]
#[non_exhaustive]
pub struct CapBroken {
    /// The round, from 0.
    pub round: usize,
    /// The stage.
    pub stage: Stage,
    /// The cap.
    pub cap: usize,
    /// The number of rows that there was room for.
    pub room: usize,
    /// The number of clients whose create succeeded.
    pub created: usize,
    /// The number of rows afterwards.
    pub stored: usize,
}
