//! Deliveries that arrive together are stored together.
//!
//! While one transaction is being committed, what arrives is kept and goes into the next. Whoever is
//! alone waits for nobody; under load many share one commit, which is most of what storing costs. A
//! delivery is acknowledged by the commit of its own transaction and by nothing else.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Delivery;
use super::store::{Arrival, Stored, store};
use crate::pg::{PgError, SystemPool};

/// At most so many deliveries in one transaction.
const MOST: usize = 64;
/// No more bodies in it once there are so many bytes of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long it may take before those who wait are told that it did not work out. Postgres gives up
/// earlier by itself, unless it does nothing at all.
const WITHIN: Duration = Duration::from_secs(5);

/// Takes deliveries and stores them.
pub(super) struct Intake(Arc<Shared>);

struct Shared {
    system: SystemPool,
    provider: &'static str,
    lease: Duration,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether somebody is storing and will look here again.
    is_worked_on: bool,
}

struct Waiting {
    delivery: Delivery,
    claim: bool,
    told: oneshot::Sender<Told>,
}

enum Told {
    Stored(Stored),
    Failed(PgError),
    /// Somebody in the batch made it fail, perhaps this one.
    TryAlone(Delivery),
}

impl Intake {
    pub(super) fn new(system: SystemPool, provider: &'static str, lease: Duration) -> Self {
        Self(Arc::new(Shared { system, provider, lease, queue: Mutex::default() }))
    }

    /// Stores one delivery; once this has returned, that is committed. With `claim`, the event is
    /// claimed as well if it is new.
    ///
    /// Dropping the future does not stop it from being stored.
    pub(super) async fn take(&self, delivery: Delivery, claim: bool) -> Result<Stored, PgError> {
        let (told, answer) = oneshot::channel();
        let must_begin = {
            let mut queue = self.0.lock();
            queue.waiting.push(Waiting { delivery, claim, told });
            !mem::replace(&mut queue.is_worked_on, true)
        };
        if must_begin {
            // A task of its own: if this future is dropped, the others still get their answers.
            let working = Working { shared: Arc::clone(&self.0), is_done: false };
            tokio::spawn(working.run());
        }
        match answer.await {
            Ok(Told::Stored(stored)) => Ok(stored),
            Ok(Told::Failed(error)) => Err(error),
            Ok(Told::TryAlone(delivery)) => self.0.store_one(delivery, claim).await,
            Err(_panicked) => Err(PgError::Unavailable(sqlx::Error::WorkerCrashed)),
        }
    }
}

/// Whoever is storing. If they do not come to their end, the next to come begins anew.
struct Working {
    shared: Arc<Shared>,
    is_done: bool,
}

impl Working {
    /// Stores what waits until nothing does.
    async fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            self.shared.store_all(batch).await;
        }
    }

    fn next_batch(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.shared.lock();
        let batch = cut(&mut queue.waiting);
        self.is_done = batch.is_empty();
        // Said under the lock that whoever comes takes, so that nobody waits for ever.
        queue.is_worked_on = !self.is_done;
        (!batch.is_empty()).then_some(batch)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.lock().is_worked_on = false;
        }
    }
}

/// Takes from the front as much as one transaction should hold.
fn cut(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let fits = waiting.iter().take(MOST).take_while(|one| {
        let is_first = bytes == 0;
        bytes += one.delivery.body.len().max(1);
        is_first || bytes <= MOST_BYTES
    });
    let fits = fits.count();
    waiting.drain(..fits).collect()
}

/// The deliveries of one event in a batch.
struct Group {
    claim: bool,
    /// The one that is stored, and those that are counted with it.
    copies: Vec<(Delivery, oneshot::Sender<Told>)>,
}

/// Puts deliveries of the same event together, and events into the order of their names: processes
/// that store the same events then wait for each other instead of locking each other out.
fn grouped(batch: Vec<Waiting>) -> Vec<Group> {
    let mut groups = BTreeMap::<String, Group>::new();
    for Waiting { delivery, claim, told } in batch {
        let group = groups
            .entry(delivery.event_id.clone())
            .or_insert_with(|| Group { claim: false, copies: Vec::new() });
        group.copies.push((delivery, told));
        if claim && !group.claim {
            // Whoever asks to go on with a new event must be the one who is told that it is.
            group.claim = true;
            let last = group.copies.len() - 1;
            group.copies.swap(0, last);
        }
    }
    groups.into_values().collect()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing is done under it that may panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a batch, and tells everybody what became of theirs.
    async fn store_all(&self, batch: Vec<Waiting>) {
        let groups = grouped(batch);
        let arrivals: Vec<Arrival<'_>> = groups.iter().map(Group::arrival).collect();
        let storing = store(&self.system, self.provider, self.lease, &arrivals);
        let stored = tokio::time::timeout(WITHIN, storing).await.unwrap_or_else(|_elapsed| {
            Err(PgError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
        });
        match stored {
            Ok(stored) => groups.into_iter().zip(stored).for_each(|(group, said)| group.tell(said)),
            Err(error) => excuse(groups, error),
        }
    }

    /// Stores one delivery that failed in company.
    async fn store_one(&self, delivery: Delivery, claim: bool) -> Result<Stored, PgError> {
        let arrivals = [Arrival { delivery: &delivery, deliveries: 1, claim }];
        let mut stored = store(&self.system, self.provider, self.lease, &arrivals).await?;
        stored.pop().ok_or(PgError::Database(sqlx::Error::RowNotFound))
    }
}

impl Group {
    fn arrival(&self) -> Arrival<'_> {
        let deliveries = i32::try_from(self.copies.len()).unwrap_or(i32::MAX);
        Arrival { delivery: &self.copies[0].0, deliveries, claim: self.claim }
    }

    /// Whoever is gone needs no answer: what is stored is stored.
    fn tell(self, stored: Stored) {
        let status = stored.status();
        let mut copies = self.copies.into_iter().map(|(_, told)| told);
        if let Some(first) = copies.next() {
            let _ = first.send(Told::Stored(stored));
        }
        for other in copies {
            let _ = other.send(Told::Stored(Stored::Known { status, reason: None }));
        }
    }
}

/// Tells those of a batch that failed what to do about it.
fn excuse(groups: Vec<Group>, error: PgError) {
    let mut copies: Vec<_> = groups.into_iter().flat_map(|group| group.copies).collect();
    let is_away = matches!(error, PgError::Unavailable(_));
    if !is_away && copies.len() > 1 {
        for (delivery, told) in copies {
            let _ = told.send(Told::TryAlone(delivery));
        }
        return;
    }
    let text = format!("stored with others that met: {error}");
    if let Some((_, told)) = copies.pop() {
        let _ = told.send(Told::Failed(error));
    }
    for (_, told) in copies {
        let _ = told.send(Told::Failed(PgError::Unavailable(sqlx::Error::Protocol(text.clone()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(event: &str, bytes: usize, claim: bool) -> Waiting {
        let delivery = Delivery::new(event, "x", vec![0; bytes]);
        Waiting { delivery, claim, told: oneshot::channel().0 }
    }

    #[test]
    fn a_transaction_holds_so_many_and_so_much_but_never_nothing() {
        let mut many: Vec<_> = (0..100).map(|_| waiting("a", 1, false)).collect();
        assert_eq!((cut(&mut many).len(), many.len()), (MOST, 36));
        let mut large: Vec<_> = (0..3).map(|_| waiting("a", MOST_BYTES, false)).collect();
        for left in [2, 1, 0] {
            assert_eq!((cut(&mut large).len(), large.len()), (1, left));
        }
        assert!(cut(&mut large).is_empty());
        let mut empty = vec![waiting("a", 0, false), waiting("b", 0, false)];
        assert_eq!(cut(&mut empty).len(), 2);
    }

    #[test]
    fn copies_are_grouped_behind_the_one_that_claims() {
        let batch = vec![
            waiting("b", 1, false),
            waiting("a", 1, false),
            waiting("b", 2, true),
            waiting("b", 3, true),
        ];
        let groups = grouped(batch);
        let said: Vec<_> = groups
            .iter()
            .map(|group| {
                let Arrival { delivery, deliveries, claim } = group.arrival();
                (delivery.event_id.as_str(), delivery.body.len(), deliveries, claim)
            })
            .collect();
        assert_eq!(said, [("a", 1, 1, false), ("b", 2, 3, true)]);
    }
}
