//! No org gets the whole server.
//!
//! Requests of one org share so many seats. Whoever finds them taken waits for one without holding a
//! connection, for as long as anybody waits for a connection, and is then answered 503 with `Retry-After`.
//! So an org whose requests are slow or many waits for itself, and the others find connections.
//!
//! It stands behind the guard that loads access: a stranger takes no seat of an org. Seats are counted in
//! each process by itself, as connections are.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mt_core::access::Access;
use mt_core::id::TenantId;
use prometheus_client::metrics::counter::Counter;
use salvo::routing::FlowCtrl;
use salvo::{Depot, Handler, Request, Response, async_trait};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::ApiError;
use crate::http::problems;
use crate::model::Product;

/// How long a seat is waited for: as long as a connection is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seats for each org. Clones share them.
#[derive(Clone)]
pub struct Bulkhead(Arc<Shared>);

struct Shared {
    seats: Option<NonZeroU32>,
    refusals: Counter,
    /// The orgs that have requests at this moment.
    orgs: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Bulkhead {
    /// `seats` for each org, any number if there is none. Counts those who got none.
    #[must_use]
    pub fn new(seats: Option<NonZeroU32>, refusals: Counter) -> Self {
        Self(Arc::new(Shared { seats, refusals, orgs: Mutex::default() }))
    }

    fn visit(&self, org: TenantId, seats: NonZeroU32) -> Visit<'_> {
        let make = || Arc::new(Semaphore::new(seats.get() as usize));
        let table = Arc::clone(self.0.orgs().entry(org).or_insert_with(make));
        Visit { bulkhead: &self.0, org, table }
    }
}

impl Shared {
    fn orgs(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Semaphore>>> {
        // Nothing is done under it that may panic.
        self.orgs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of an org, with a seat or without. The last to go takes the table along.
struct Visit<'b> {
    bulkhead: &'b Shared,
    org: TenantId,
    table: Arc<Semaphore>,
}

impl Visit<'_> {
    async fn seat(&self) -> Option<SemaphorePermit<'_>> {
        let seat = tokio::time::timeout(PATIENCE, self.table.acquire()).await;
        // Nobody closes a table.
        seat.ok()?.ok()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut orgs = self.bulkhead.orgs();
        // Here and in the map: nobody else can come by it while the map is locked.
        if Arc::strong_count(&self.table) == 2 {
            orgs.remove(&self.org);
        }
    }
}

#[async_trait]
impl Handler for Bulkhead {
    async fn handle(
        &self,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        let Some(seats) = self.0.seats else { return };
        let Some(access) = req.extensions().get::<Access<Product>>() else {
            tracing::error!("the bulkhead stands before the guard that loads access");
            ApiError::new(&problems::INTERNAL).write_to(res, req.extensions().get());
            return ctrl.skip_rest();
        };
        let visit = self.visit(access.tenant(), seats);
        let Some(_seat) = visit.seat().await else {
            self.0.refusals.inc();
            tracing::warn!("an org has its share of the server");
            ApiError::new(&problems::UNAVAILABLE).write_to(res, req.extensions().get());
            return ctrl.skip_rest();
        };
        ctrl.call_next(req, depot, res).await;
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead").field("seats", &self.0.seats).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

    #[tokio::test(start_paused = true)]
    async fn seats_are_an_orgs_own_and_nothing_is_left_behind() {
        let bulkhead = Bulkhead::new(Some(TWO), Counter::default());
        let (here, there) = (TenantId::generate(), TenantId::generate());
        let visits: Vec<_> = (0..3).map(|_| bulkhead.visit(here, TWO)).collect();
        let first = visits[0].seat().await.unwrap();
        let second = visits[1].seat().await.unwrap();
        let since = tokio::time::Instant::now();
        assert!(visits[2].seat().await.is_none());
        assert_eq!(since.elapsed(), PATIENCE);
        let other = bulkhead.visit(there, TWO);
        assert!(other.seat().await.is_some());
        drop(first);
        assert!(visits[2].seat().await.is_some());
        drop(second);
        drop((visits, other));
        assert!(bulkhead.0.orgs().is_empty());
    }

    /// Whoever gives up while waiting leaves the queue.
    #[tokio::test]
    async fn a_dropped_wait_takes_no_seat() {
        let bulkhead = Bulkhead::new(Some(NonZeroU32::MIN), Counter::default());
        let org = TenantId::generate();
        let (first, second) =
            (bulkhead.visit(org, NonZeroU32::MIN), bulkhead.visit(org, NonZeroU32::MIN));
        let seat = first.seat().await.unwrap();
        let mut waiting = Box::pin(second.seat());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        drop(seat);
        assert!(first.seat().await.is_some());
    }
}
