//! Shares of a pool of connections, so that no tenant and no principal takes all of it.
//!
//! A transaction takes a seat before its connection and gives it back with the connection. A seat is held exactly
//! as long as a connection is: never while the server reads a body, sends an answer or calls another service. A
//! request for which no seat is free waits without a connection, for at most the time that it may wait for one.
//!
//! | share | of 16 connections | of others |
//! | --- | --- | --- |
//! | all requests together, without the system | 14 | all but an eighth |
//! | one tenant | 12 | three quarters |
//! | ⤷ of these, for owners alone | 1 | 1 |
//! | ⤷ and for owners and changes to the members | 1 | 1, from four seats on |
//! | one principal, in all tenants and outside of them | 4 | a third of a tenant's seats; 2 at least, but half at most |
//! | ⤷ of these, outside of tenants | 1 | a sixteenth |
//! | all anonymous requests | 4 | a quarter |
//!
//! A free seat goes to the tenant or principal with the fewest seats, and in a tenant to the member with the
//! fewest; of several, to the one that was served longest ago. So the requests of a principal who sends many wait
//! for each other, and an owner can always remove that principal.
//!
//! Queues are bounded: 128 requests of one principal, 256 of one tenant, 128 anonymous ones. Beyond that a request is
//! refused at once. In a tenant's full queue, the principal with the most requests makes room for others.
//!
//! Transactions of the system, such as those of workers and webhooks, take no seat: connections are left for them.
//! Each process counts its own seats, as it has its own connections.
//!
//! ```
//! use std::num::NonZeroU32;
//! use mt_core::id::PrincipalId;
//! use mt_core::shares::{Requester, Shares};
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let shares = Shares::of(4).per_tenant(NonZeroU32::new(2));
//! let ada = Requester::Principal(PrincipalId::generate());
//! let seat = shares.seat(ada).await?;
//! assert_eq!(shares.stats().in_use, 1);
//! drop(seat);
//! assert_eq!(shares.stats().in_use, 0);
//! # Ok::<(), mt_core::shares::NoSeat>(())
//! # }).unwrap().unwrap();
//! ```

mod limits;
mod party;
mod queue;
mod requester;
mod seat;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::iter;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

use self::limits::Limits;
use self::queue::{Asked, Queue, Ticket};
pub use self::requester::{Priority, Requester};
pub use self::seat::Seat;

/// The shares of one pool. Clones count together.
///
/// See the [module docs](self).
#[derive(Clone)]
pub struct Shares(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    refused: AtomicU64,
}

struct State {
    queue: Queue,
    /// The requests that wait, and the channels that give them their seats.
    waiting: HashMap<Ticket, (Requester, oneshot::Sender<Seat>)>,
}

/// The number of seats in use, and of requests that wait or were refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ShareStats {
    /// Seats in use.
    pub in_use: u32,
    /// Requests that wait for a seat.
    pub waiting: usize,
    /// Requests that were refused since the start.
    pub refused: u64,
}

/// The tenant or the principal uses its whole share of the connections, and its queue is full, or the request
/// has waited too long. The client should try again later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the tenant or principal has its share of the connections")]
#[non_exhaustive]
pub struct NoSeat;

impl Shares {
    /// Creates the shares of a pool of `connections`, as the [module docs](self) list them.
    #[must_use]
    pub fn of(connections: u32) -> Self {
        Self::new(Limits::of(connections))
    }

    /// Returns new shares with `seats` for each tenant, without a limit for `None`. Counts start at zero.
    #[must_use]
    pub fn per_tenant(&self, seats: Option<NonZeroU32>) -> Self {
        let limits = self.state().queue.limits();
        Self::new(limits.per_tenant(seats))
    }

    fn new(limits: Limits) -> Self {
        let state = State { queue: Queue::new(limits), waiting: HashMap::new() };
        Self(Arc::new(Inner { state: Mutex::new(state), refused: AtomicU64::new(0) }))
    }

    /// Waits for a seat without a timeout; set one around it. A future that is dropped leaves the queue.
    ///
    /// # Errors
    ///
    /// [`NoSeat`] if the queue is full, or fills up with requests that go before this one.
    pub async fn seat(&self, requester: Requester) -> Result<Seat, NoSeat> {
        let (ticket, told) = {
            let mut state = self.state();
            let (ticket, evicted) = match state.queue.ask(&requester) {
                Asked::Granted => return Ok(Seat::new(self.clone(), requester)),
                Asked::Refused => return Err(self.refuse()),
                Asked::Waits { ticket, evicted } => (ticket, evicted),
            };
            if let Some(evicted) = evicted {
                // Its receiver learns that no seat will come.
                drop(state.waiting.remove(&evicted));
            }
            let (tell, told) = oneshot::channel();
            state.waiting.insert(ticket, (requester, tell));
            (ticket, told)
        };
        let _leaves = Leave { shares: self, requester, ticket };
        told.await.map_err(|oneshot::Canceled| self.refuse())
    }

    /// Checks whether a request would be refused at once. It takes no seat.
    ///
    /// # Errors
    ///
    /// [`NoSeat`] if the queue is full.
    pub fn check(&self, requester: Requester) -> Result<(), NoSeat> {
        if self.state().queue.has_room(&requester) { Ok(()) } else { Err(self.refuse()) }
    }

    /// Returns the present numbers.
    #[must_use]
    pub fn stats(&self) -> ShareStats {
        let state = self.state();
        let (in_use, waiting) = (state.queue.in_use(), state.queue.waiting());
        ShareStats { in_use, waiting, refused: self.0.refused.load(Relaxed) }
    }

    /// Counts a request that is refused.
    pub(crate) fn refuse(&self) -> NoSeat {
        self.0.refused.fetch_add(1, Relaxed);
        NoSeat
    }

    /// Takes a seat back, and gives it to a request that waits.
    fn give_back(&self, requester: Requester) {
        let mut free = vec![requester];
        while let Some(requester) = free.pop() {
            let granted: Vec<_> = {
                let mut guard = self.state();
                let State { queue, waiting } = &mut *guard;
                queue.give_back(&requester);
                let tickets = iter::from_fn(|| queue.grant_next());
                tickets.filter_map(|ticket| waiting.remove(&ticket)).collect()
            };
            for (requester, tell) in granted {
                // A request that has left meanwhile gives its seat back in turn.
                let unwanted = tell.send(Seat::new(self.clone(), requester)).err();
                free.extend(unwanted.and_then(Seat::disarm));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only code of this module runs under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a request from the queue if its future is dropped.
struct Leave<'s> {
    shares: &'s Shares,
    requester: Requester,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        if state.queue.leave(&self.requester, self.ticket) {
            state.waiting.remove(&self.ticket);
        }
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shares").field(&self.stats()).finish()
    }
}
