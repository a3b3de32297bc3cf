//! Group commit: deliveries that arrive together are stored in one transaction.
//!
//! While one transaction is being committed, further deliveries queue up, and the next transaction takes them all. A
//! delivery is acknowledged by the commit of its own transaction and by nothing else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::NewEvent;
use super::store::{Store, Stored};
use crate::pg::PgError;

/// How many deliveries one transaction takes at most.
const MAX_BATCH: usize = 64;
/// The longest body that shares a transaction. So a batch holds at most 4 MiB of bodies.
const MAX_BODY: usize = 64 * 1024;
/// How long storing a batch may take. Postgres gives up earlier by itself, unless it does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Stores deliveries, many in one transaction.
pub(super) struct Batcher {
    store: Store,
    queue: OnceLock<mpsc::Sender<Pending>>,
}

/// A delivery in the queue.
struct Pending {
    event: Arc<NewEvent>,
    lease: bool,
    /// `None` asks the caller to store the delivery by itself.
    reply: oneshot::Sender<Option<Result<Stored, PgError>>>,
}

impl Batcher {
    pub(super) const fn new(store: Store) -> Self {
        Self { store, queue: OnceLock::new() }
    }

    /// Stores one delivery and returns once it is committed. With `lease`, a new event is leased as well.
    pub(super) async fn store(&self, event: NewEvent, lease: bool) -> Result<Stored, PgError> {
        let event = Arc::new(event);
        if event.body.len() <= MAX_BODY {
            let (reply, answer) = oneshot::channel();
            let queue = self.queue.get_or_init(|| {
                let (queue, pending) = mpsc::channel(MAX_BATCH);
                tokio::spawn(store_batches(self.store.clone(), pending));
                queue
            });
            let sent = queue.send(Pending { event: Arc::clone(&event), lease, reply }).await;
            if let (Ok(()), Ok(Some(result))) = (sent, answer.await) {
                return result;
            }
        }
        let mut stored = self.store.store(&[(&*event, lease)]).await?;
        stored.pop().ok_or(PgError::Database(sqlx::Error::RowNotFound))
    }
}

/// Stores what is in the queue until the ledger is dropped.
async fn store_batches(store: Store, mut queue: mpsc::Receiver<Pending>) {
    let mut received = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut received, MAX_BATCH).await > 0 {
        // Rows are locked in the order of event ids, so that processes that store the same events do not deadlock.
        let mut batch = BTreeMap::new();
        let mut again = Vec::new();
        for pending in received.drain(..) {
            match batch.entry(pending.event.event_id.clone()) {
                Entry::Vacant(free) => {
                    free.insert(pending);
                }
                // One statement cannot touch a row twice. The copy that leases the event goes first.
                Entry::Occupied(mut taken) if pending.lease && !taken.get().lease => {
                    again.push(taken.insert(pending));
                }
                Entry::Occupied(_) => again.push(pending),
            }
        }
        let events: Vec<_> = batch.values().map(|one| (&*one.event, one.lease)).collect();
        let stored = tokio::time::timeout(TIMEOUT, store.store(&events)).await;
        let stored = stored.unwrap_or_else(|_elapsed| {
            Err(PgError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
        });
        // A sender who is gone needs no reply: the event is stored.
        match stored {
            Ok(stored) => {
                for (pending, stored) in batch.into_values().zip(stored) {
                    let _ = pending.reply.send(Some(Ok(stored)));
                }
            }
            Err(PgError::Unavailable(error)) => {
                let error = error.to_string();
                for pending in batch.into_values().chain(again.drain(..)) {
                    let error = sqlx::Error::Protocol(error.clone());
                    let _ = pending.reply.send(Some(Err(PgError::Unavailable(error))));
                }
            }
            // One delivery made the batch fail: each is stored by itself, and that one fails alone.
            Err(_) => again.extend(batch.into_values()),
        }
        for pending in again {
            let _ = pending.reply.send(None);
        }
    }
}
