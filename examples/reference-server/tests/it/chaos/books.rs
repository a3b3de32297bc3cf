//! The accounts of a storm, one for each kind of write, and what the database says to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::accounts::{Account, Balance};
use super::world::World;

/// How soon after a fault everything that was taken is also applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(15);

/// What the clients of a storm have sent and were told.
#[derive(Default)]
pub(super) struct Books {
    names: AtomicUsize,
    creates: Mutex<Account>,
    events: Mutex<Account>,
    sign_ins: Mutex<Account>,
}

impl Books {
    /// A number that no other write of the storm has.
    pub(super) fn next(&self) -> usize {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn creates(&self) -> MutexGuard<'_, Account> {
        self.creates.lock().unwrap()
    }

    pub(super) fn events(&self) -> MutexGuard<'_, Account> {
        self.events.lock().unwrap()
    }

    pub(super) fn sign_ins(&self) -> MutexGuard<'_, Account> {
        self.sign_ins.lock().unwrap()
    }

    /// Compares everything with the database, once no request is under way and no event waits. Returns the
    /// balances of creates, events and sign-ins.
    pub(super) async fn check(&self, world: &World) -> [Balance; 3] {
        let waiting = "select count(*) from mt.webhook_events \
             where status not in ('processed', 'ignored')";
        let began = Instant::now();
        while world.number(waiting).await > 0 {
            assert!(began.elapsed() < APPLIED_WITHIN, "events that were taken are not applied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tasks = world.pairs("select title, id::text from app.tasks").await;
        // A row for each time that an event was applied.
        let applied = world
            .pairs(
                "select e.event_id, '' from mt.webhook_attempts a \
                 join mt.webhook_events e on e.id = a.event where a.outcome = 'processed'",
            )
            .await;
        // A row for each link of a user's that was used up.
        let used = world
            .pairs(
                "select u.email, '' from mt.users u join mt.magic_links l on l.email = u.email \
                 where l.used_at is not null and u.email like 'guest-%'",
            )
            .await;
        let balances = [
            self.creates().balance(&tasks),
            self.events().balance(&applied),
            self.sign_ins().balance(&used),
        ];
        for (kind, balance) in ["creates", "webhooks", "sign-ins"].iter().zip(&balances) {
            assert!(balance.is_even(), "{kind}: {balance:#?}");
        }
        balances
    }
}
