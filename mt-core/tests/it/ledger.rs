//! The ledger with a second provider, which follows Standard Webhooks.

mod customer_lock;
mod deliveries;
mod lease;
mod outbox;
mod outbox_lanes;
mod outbox_retention;
mod replay;
mod retries;
mod standard_webhooks;
mod stats;
mod wake_ups;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::ledger::{
    EventStatus, HistoryEntry, Ledger, LedgerEvent, NewEvent, Received, RetryPolicy, history,
};
use mt_core::pg::{Database, DatabaseOptions, SystemReason};
use mt_core::testing::{Relay, TestDatabase};
use sqlx::AssertSqlSafe;

use self::standard_webhooks::{Gate, Standard};

const LOOK: SystemReason = SystemReason::new("look at what a test has done");

/// A database with a counter that is not idempotent, and whatever else effects need.
struct World {
    db: TestDatabase,
    database: Database,
}

impl World {
    async fn new() -> Self {
        let db = TestDatabase::create().await.unwrap();
        let database = db.connect(8).await.unwrap();
        let world = Self { db, database };
        world
            .sql(
                "create table public.counter (n bigint not null); insert into public.counter values (0); \
                 create table public.links (customer text primary key); \
                 grant select, insert, update on public.counter, public.links to mt_system",
            )
            .await;
        world
    }

    async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.db.admin()).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(self.db.admin()).await.unwrap()
    }

    /// How often an effect was committed, whichever.
    async fn counter(&self) -> i64 {
        self.number("select n from public.counter").await
    }

    fn ledger(&self, policy: RetryPolicy) -> Ledger<Standard> {
        Ledger::new(self.database.system(), Standard::default(), policy)
    }

    /// A ledger whose slow events wait at a gate.
    fn gated(&self, policy: RetryPolicy) -> (Ledger<Standard>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let provider = Standard { gate: Arc::clone(&gate) };
        (Ledger::new(self.database.system(), provider, policy), gate)
    }

    /// A pool whose statements are changed on their way.
    async fn rewritten(
        &self,
        rewrite: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> (Relay, Database) {
        let relay = Relay::rewriting(&self.db.login(), rewrite).await.unwrap();
        let options = DatabaseOptions::new(relay.through(self.db.login())).max_connections(8);
        (relay, Database::connect(options).await.unwrap())
    }

    async fn event(&self, id: &str) -> LedgerEvent {
        self.ledger(RetryPolicy::default()).find(id).await.unwrap().expect("the event is stored")
    }

    async fn history(&self, id: &str) -> Vec<HistoryEntry> {
        let event = self.event(id).await;
        let mut tx = self.database.system().begin(LOOK).await.unwrap();
        let entries = history(&mut tx, event.id, 100).await.unwrap();
        tx.commit().await.unwrap();
        entries
    }

    /// The outcomes of the history.
    async fn outcomes(&self, id: &str) -> Vec<String> {
        self.history(id).await.into_iter().map(|entry| entry.outcome).collect()
    }

    /// Stores an event without applying it, as a process does that is killed in between.
    async fn store(&self, delivery: NewEvent) {
        let NewEvent { event_id, kind, customer_id, body, .. } = delivery;
        sqlx::query(
            "insert into mt.webhook_events (id, provider, event_id, type, customer_id, body) \
             values (gen_random_uuid(), 'standard', $1, $2, $3, $4)",
        )
        .bind(event_id)
        .bind(kind)
        .bind(customer_id)
        .bind(body)
        .execute(self.db.admin())
        .await
        .unwrap();
    }

    /// Makes everything due that waits for its time.
    async fn later(&self) {
        self.sql("update mt.webhook_events set next_attempt_at = now() where status = 'failed'")
            .await;
    }
}

/// Leases of no length and waits of next to none.
fn hasty() -> RetryPolicy {
    RetryPolicy { backoff: Duration::from_millis(1), ..RetryPolicy::default() }
}

/// An event that does as `effect` says.
fn event(id: &str, effect: &str) -> NewEvent {
    standard_webhooks::receive(&standard_webhooks::sign(id, effect)).expect("a signed event")
}

async fn deliver(ledger: &Ledger<Standard>, id: &str, effect: &str) -> Received {
    Received { reason: None, ..ledger.receive(event(id, effect)).await.unwrap() }
}

/// A receipt without its reason, as `deliver` returns it.
fn receipt(status: EventStatus, duplicate: bool) -> Received {
    Received { status, reason: None, duplicate }
}

/// Polls, since no notification exists.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect(what);
}
