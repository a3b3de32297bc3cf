//! The writes of all clients by kind, compared with the database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::acknowledged::{Comparison, WriteLog};
use super::dependencies::Dependencies;

/// The time after a fault within which all accepted events are applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(15);

/// The writes that all clients have sent, and the answers they got.
#[derive(Default)]
pub(super) struct Writes {
    names: AtomicUsize,
    creates: Mutex<WriteLog>,
    events: Mutex<WriteLog>,
    sign_ins: Mutex<WriteLog>,
}

impl Writes {
    /// A number that no other write has.
    pub(super) fn next(&self) -> usize {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn creates(&self) -> MutexGuard<'_, WriteLog> {
        self.creates.lock().unwrap()
    }

    pub(super) fn events(&self) -> MutexGuard<'_, WriteLog> {
        self.events.lock().unwrap()
    }

    pub(super) fn sign_ins(&self) -> MutexGuard<'_, WriteLog> {
        self.sign_ins.lock().unwrap()
    }

    /// Compares everything with the database, once no request is under way and no event waits. Returns the
    /// comparisons of creates, events and sign-ins.
    pub(super) async fn check(&self, dependencies: &Dependencies) -> [Comparison; 3] {
        let waiting = "select count(*) from mt.webhook_events \
             where status not in ('processed', 'ignored')";
        let began = Instant::now();
        while dependencies.number(waiting).await > 0 {
            assert!(began.elapsed() < APPLIED_WITHIN, "events that were taken are not applied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tasks = dependencies.pairs("select title, id::text from app.tasks").await;
        // A row for each time that an event was applied.
        let applied = dependencies
            .pairs(
                "select e.event_id, '' from mt.webhook_attempts a \
                 join mt.webhook_events e on e.id = a.event where a.outcome = 'processed'",
            )
            .await;
        // A row for each used link of a user.
        let used = dependencies
            .pairs(
                "select u.email, '' from mt.users u join mt.magic_links l on l.email = u.email \
                 where l.used_at is not null and u.email like 'guest-%'",
            )
            .await;
        let comparisons = [
            self.creates().compare(&tasks),
            self.events().compare(&applied),
            self.sign_ins().compare(&used),
        ];
        for (kind, comparison) in ["creates", "webhooks", "sign-ins"].iter().zip(&comparisons) {
            assert!(comparison.is_equal(), "{kind}: {comparison:#?}");
        }
        comparisons
    }
}
