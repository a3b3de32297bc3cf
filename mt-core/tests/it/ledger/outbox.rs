//! Outbox messages are committed with the effect and delivered once, by one dispatcher at a time.

use std::sync::Mutex;

use mt_core::id::TenantId;
use mt_core::pg::ledger::outbox::{
    Dispatcher, Handler, HandlerOutcome, Lane, Message, MessageStatus, NewMessage, OutboxFilter,
    OutboxStats, Retried, backlog, enqueue, enqueue_expiring, list, retry, retry_all,
};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;

/// Writes down what it is given, and answers as it is told to.
#[derive(Default)]
pub(super) struct TestHandler {
    pub(super) seen: Mutex<Vec<String>>,
    answers: Mutex<Vec<HandlerOutcome>>,
    entered: Notify,
    never: bool,
}

impl Handler for TestHandler {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        self.seen.lock().unwrap().push(message.dedupe_key.clone());
        self.entered.notify_one();
        if self.never {
            std::future::pending::<()>().await;
        }
        self.answers.lock().unwrap().pop().unwrap_or(HandlerOutcome::Sent)
    }
}

impl TestHandler {
    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(super) async fn tenant(world: &World) -> TenantId {
    let tenant = TenantId::generate();
    world.sql(&format!("insert into mt.tenants (id, name) values ('{tenant}', 'a tenant')")).await;
    tenant
}

pub(super) async fn put(world: &World, tenant: TenantId, key: &str) -> bool {
    let message = NewMessage {
        tenant: Some(tenant),
        topic: "dunning",
        lane: Lane::Main,
        dedupe_key: key,
        payload: json!({"invoice": "in_1"}),
    };
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    let is_new = enqueue(tx.conn(), &message).await.unwrap();
    tx.commit().await.unwrap();
    is_new
}

pub(super) const fn of_no_tenant(key: &str, payload: serde_json::Value) -> NewMessage<'_> {
    NewMessage { tenant: None, topic: "mail", lane: Lane::Main, dedupe_key: key, payload }
}

pub(super) fn dispatcher(
    world: &World,
    post: &Arc<TestHandler>,
    policy: RetryPolicy,
) -> Dispatcher<Arc<TestHandler>> {
    Dispatcher::new(world.database.system(), Arc::clone(post), policy)
}

async fn statuses(world: &World) -> Vec<(String, Option<String>, i32)> {
    sqlx::query_as("select status, last_error, attempts from mt.outbox order by dedupe_key")
        .fetch_all(world.db.admin())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_is_delivered_once_by_many_dispatchers() {
    let world = World::new().await;
    let (a, b) = (tenant(&world).await, tenant(&world).await);
    for number in 0..20 {
        let key = format!("dunning:in_{number}:1");
        assert!(put(&world, a, &key).await);
        assert!(!put(&world, a, &key).await, "the fact is known");
        assert!(put(&world, b, &key).await, "another tenant's facts are its own");
    }
    let post = Arc::new(TestHandler::default());
    let mut dispatchers = JoinSet::new();
    for _ in 0..4 {
        let dispatcher = dispatcher(&world, &post, RetryPolicy::default());
        dispatchers.spawn(async move { while dispatcher.dispatch_next().await.unwrap() {} });
    }
    dispatchers.join_all().await;
    assert_eq!(post.seen(), 40);
    assert!(statuses(&world).await.iter().all(|(status, ..)| status == "sent"));
    assert!(!put(&world, a, "dunning:in_0:1").await, "also when it has been told");
}

#[tokio::test]
async fn rolled_back_effect_sends_no_message() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let (tenant, payload) = (Some(tenant), json!({}));
    let message =
        NewMessage { tenant, topic: "dunning", lane: Lane::Main, dedupe_key: "k", payload };
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    assert!(enqueue(tx.conn(), &message).await.unwrap());
    tx.rollback().await.unwrap();
    let post = Arc::new(TestHandler::default());
    assert!(!dispatcher(&world, &post, RetryPolicy::default()).dispatch_next().await.unwrap());
    assert_eq!(post.seen(), 0);
}

#[tokio::test]
async fn undelivered_message_is_retried_until_dead() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    for key in ["a", "b", "c", "d"] {
        put(&world, tenant, key).await;
    }
    let not_yet = || HandlerOutcome::Failed("the server is busy".to_owned());
    let post = Arc::new(TestHandler::default());
    // The last is the first: to `a`, to `b` and so on, and then to those who are tried again.
    *post.answers.lock().unwrap() = vec![
        not_yet(),
        HandlerOutcome::Sent,
        HandlerOutcome::Dead("no such address".to_owned()),
        HandlerOutcome::Skipped("no_owner"),
        not_yet(),
        not_yet(),
    ];
    let dispatcher = dispatcher(&world, &post, RetryPolicy { max_attempts: 2, ..hasty() });
    for _ in 0..6 {
        eventually("the next is due", async || dispatcher.dispatch_next().await.unwrap()).await;
    }
    assert_eq!(*post.seen.lock().unwrap(), ["a", "b", "c", "d", "a", "b"]);
    let error = Some("undelivered: the server is busy".to_owned());
    assert_eq!(
        statuses(&world).await,
        [
            ("sent".to_owned(), None, 2),
            ("dead".to_owned(), error, 2),
            ("skipped".to_owned(), Some("no_owner".to_owned()), 1),
            ("dead".to_owned(), Some("undelivered: no such address".to_owned()), 1),
        ]
    );
}

fn deferred() -> HandlerOutcome {
    HandlerOutcome::Deferred { reason: "relay", detail: "the relay is away".to_owned() }
}

fn refused() -> HandlerOutcome {
    HandlerOutcome::Refused { reason: "recipient", detail: "no such mailbox".to_owned() }
}

/// An outage uses no attempts up. The control: failures of the message's own do.
#[tokio::test]
async fn deferred_message_is_not_limited_by_attempts() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    put(&world, tenant, "a").await;
    let post = Arc::new(TestHandler::default());
    let policy = RetryPolicy { max_attempts: 2, ..hasty() };
    let dispatcher = dispatcher(&world, &post, policy);
    let due = "update mt.outbox set next_attempt_at = now() where status = 'pending'";
    for attempt in 1..=5 {
        post.answers.lock().unwrap().push(deferred());
        world.sql(due).await;
        assert!(dispatcher.dispatch_next().await.unwrap());
        let waiting = ("pending".to_owned(), Some("relay: the relay is away".to_owned()), attempt);
        assert_eq!(statuses(&world).await, [waiting]);
    }
    // One that says nothing of when it expires is given up after the retry period of the policy.
    world.sql("update mt.outbox set created_at = now() - interval '73 hours'").await;
    post.answers.lock().unwrap().push(deferred());
    world.sql(due).await;
    assert!(dispatcher.dispatch_next().await.unwrap());
    assert_eq!(statuses(&world).await[0].0, "dead");
    put(&world, tenant, "b").await;
    for _ in 1..=2 {
        post.answers.lock().unwrap().push(HandlerOutcome::Failed("it broke".to_owned()));
        world.sql(due).await;
        assert!(dispatcher.dispatch_next().await.unwrap());
    }
    assert_eq!(statuses(&world).await[1].0, "dead");
}

#[tokio::test]
async fn message_is_retried_until_it_expires_and_then_skipped() {
    let world = World::new().await;
    let payload = json!({"sealed": "x"});
    let message = of_no_tenant("mail:1", payload);
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    let week = Duration::from_hours(7 * 24);
    assert!(enqueue_expiring(tx.conn(), &message, week).await.unwrap());
    tx.commit().await.unwrap();
    let post = Arc::new(TestHandler::default());
    let stats = OutboxStats::default();
    let dispatcher = dispatcher(&world, &post, hasty()).with_stats(stats.clone());
    // Longer than the retry period of the policy, since the message itself says how long it is of use.
    world.sql("update mt.outbox set created_at = now() - interval '100 hours'").await;
    post.answers.lock().unwrap().push(deferred());
    assert!(dispatcher.dispatch_next().await.unwrap());
    assert_eq!(statuses(&world).await[0].0, "pending");
    world.sql("update mt.outbox set expires_at = clock_timestamp(), next_attempt_at = now()").await;
    assert!(dispatcher.dispatch_next().await.unwrap());
    assert_eq!(post.seen(), 1, "nothing is sent that is of no use");
    let skipped = Some("expired: relay: the relay is away".to_owned());
    assert_eq!(statuses(&world).await, [("skipped".to_owned(), skipped, 1)]);
    assert_eq!(world.number("select count(*) from mt.outbox where payload = 'null'").await, 1);
    let counted: Vec<_> = stats.attempts().into_iter().collect();
    assert_eq!(counted, [(("deferred", "relay"), 1), (("skipped", "expired"), 1)]);
}

#[tokio::test]
async fn operators_list_waiting_messages_and_retry_them() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    for key in ["a", "b", "c"] {
        put(&world, tenant, key).await;
    }
    let post = Arc::new(TestHandler::default());
    *post.answers.lock().unwrap() = vec![refused(), deferred(), HandlerOutcome::Sent];
    let dispatcher = dispatcher(&world, &post, RetryPolicy::default());
    while dispatcher.dispatch_next().await.unwrap() {}
    world
        .sql("update mt.outbox set created_at = now() - interval '90 seconds' where dedupe_key = 'b'")
        .await;
    let system = world.database.system();
    let found = backlog(&system).await.unwrap();
    assert_eq!(found.waiting, 1);
    assert!((90..100).contains(&found.oldest.as_secs()), "{found:?}");
    assert_eq!(found.dead.into_iter().collect::<Vec<_>>(), [("recipient".to_owned(), 1)]);

    let mut tx = system.begin(LOOK).await.unwrap();
    let all = list(&mut tx, &OutboxFilter::default(), None, 10).await.unwrap();
    let seen: Vec<_> =
        all.iter().map(|entry| (entry.message.dedupe_key.as_str(), entry.status)).collect();
    let (sent, waits, dead) = (MessageStatus::Sent, MessageStatus::Pending, MessageStatus::Dead);
    assert_eq!(seen, [("c", dead), ("b", waits), ("a", sent)], "newest first");
    assert!(all[1].next_attempt_at.is_some() && all[0].next_attempt_at.is_none());
    let after = list(&mut tx, &OutboxFilter::default(), Some(all[0].message.id), 1).await.unwrap();
    assert_eq!(after[0].message.id, all[1].message.id);
    let of = |status, topics| OutboxFilter { status, topics };
    assert_eq!(list(&mut tx, &of(Some(dead), vec![]), None, 10).await.unwrap().len(), 1);
    assert_eq!(list(&mut tx, &of(None, vec!["mail"]), None, 10).await.unwrap().len(), 0);

    let ids: Vec<_> = all.iter().map(|entry| entry.message.id).collect();
    assert_eq!(retry(&mut tx, &["dunning"], ids[0]).await.unwrap(), Retried::Due);
    assert_eq!(retry(&mut tx, &["mail"], ids[1]).await.unwrap(), Retried::NotFound);
    assert_eq!(retry(&mut tx, &["dunning"], ids[2]).await.unwrap(), Retried::NotWaiting(sent));
    assert_eq!(retry_all(&mut tx, &["mail"], waits).await.unwrap(), Vec::<uuid::Uuid>::new());
    assert_eq!(retry_all(&mut tx, &["dunning"], waits).await.unwrap().len(), 2);
    assert_eq!(retry_all(&mut tx, &["dunning"], sent).await.unwrap(), Vec::<uuid::Uuid>::new());
    tx.commit().await.unwrap();
    while dispatcher.dispatch_next().await.unwrap() {}
    assert!(statuses(&world).await.iter().all(|(status, ..)| status == "sent"));
    assert_eq!(post.seen(), 5);
}

/// A tenant's own transaction tells of its tenant, and cannot read what waits.
#[tokio::test]
async fn tenant_transaction_can_enqueue_messages_and_not_read_them() {
    let world = World::new().await;
    let (ours, other) = (tenant(&world).await, tenant(&world).await);
    let mut conn = world.db.admin().acquire().await.unwrap();
    for (tenant, sql, allowed) in [
        (
            Some(ours),
            "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload) \
            values ($1, gen_random_uuid(), 't', 'k', 'null') on conflict do nothing",
            true,
        ),
        (
            Some(other),
            "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload) \
            values ($1, gen_random_uuid(), 't', 'k', 'null') on conflict do nothing",
            false,
        ),
        (
            None,
            "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload) \
            values ($1, gen_random_uuid(), 't', 'k', 'null') on conflict do nothing",
            false,
        ),
        (Some(ours), "select from mt.outbox where tenant_id = $1", false),
        (Some(ours), "update mt.outbox set topic = 'x' where tenant_id = $1", false),
    ] {
        let open = format!("begin; call mt.seal('{ours}', '', ''); set local role mt_app");
        sqlx::raw_sql(AssertSqlSafe(open)).execute(&mut *conn).await.unwrap();
        let tenant = tenant.map(TenantId::as_uuid);
        let done = sqlx::query(sql).bind(tenant).execute(&mut *conn).await;
        assert_eq!(done.is_ok(), allowed, "{sql} for {tenant:?}: {done:?}");
        sqlx::query("rollback").execute(&mut *conn).await.unwrap();
    }
}

/// A dispatcher is killed with a message in its hands: another takes it over, and buries what does that
/// each time.
#[tokio::test]
async fn messages_leased_by_a_killed_dispatcher_are_taken_over() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    put(&world, tenant, "a").await;
    let policy = RetryPolicy { max_attempts: 3, lease: Duration::from_millis(100), ..hasty() };
    for _ in 1..=3 {
        let post = Arc::new(TestHandler { never: true, ..TestHandler::default() });
        let killed =
            dispatcher(&world, &post, RetryPolicy { lease: Duration::from_secs(30), ..policy });
        tokio::select! {
            done = killed.dispatch_next() => panic!("it never comes to an end: {done:?}"),
            () = post.entered.notified() => {}
        }
        world.sql("update mt.outbox set next_attempt_at = now(), lease_until = now()").await;
    }
    let post = Arc::new(TestHandler::default());
    let last = dispatcher(&world, &post, policy);
    assert!(last.dispatch_next().await.unwrap());
    assert_eq!(post.seen(), 0);
    let dead = ("dead".to_owned(), Some("attempts_exhausted".to_owned()), 3);
    assert_eq!(statuses(&world).await, [dead]);
}

/// A dispatcher that has lost its lease does not overwrite what the next one has written.
#[tokio::test]
async fn dispatcher_without_its_lease_marks_nothing() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    put(&world, tenant, "a").await;
    let slow = Arc::new(TestHandler { never: true, ..TestHandler::default() });
    let late =
        dispatcher(&world, &slow, RetryPolicy { lease: Duration::from_millis(50), ..hasty() });
    let quick = Arc::new(TestHandler::default());
    let next = dispatcher(&world, &quick, hasty());
    let racing = async {
        slow.entered.notified().await;
        eventually("the lease runs out", async || next.dispatch_next().await.unwrap()).await;
    };
    let (was_due, ()) = tokio::join!(late.dispatch_next(), racing);
    assert!(was_due.unwrap());
    assert_eq!((slow.seen(), quick.seen()), (1, 1));
    assert_eq!(statuses(&world).await, [("sent".to_owned(), None, 2)]);
}
