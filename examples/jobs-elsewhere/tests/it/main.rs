//! Jobs of the helpdesk through apalis, on Postgres and Redis.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::TaskSink as _;
use helpdesk::{Helpdesk, SCHEMA, TicketsWrite, routes};
use jobs_elsewhere::carry::{Queue, ToRedis, queue, send};
use jobs_elsewhere::comment::Comment;
use jobs_elsewhere::work::{Helpdesks, work};
use mt::access::AccessRequest;
use mt::auth::Principal;
use mt::axum::testing::TestApp;
use mt::billing::StandingPolicy;
use mt::id::{PrincipalId, TenantId};
use mt::pg::jobs::{EnvelopeKey, JobEnvelope};
use mt::pg::ledger::RetryPolicy;
use mt::pg::ledger::outbox::Dispatcher;
use mt::pg::{Database, Tenants};
use tokio::sync::oneshot;
use uuid::Uuid;

const SECRET: &[u8] = b"the secret of this test";

/// A shop with one ticket, a queue of its own, and a worker that can be started.
struct World {
    app: TestApp<Helpdesk>,
    database: Database,
    shops: Tenants<Helpdesk>,
    queue: Queue,
    shop: TenantId,
    agent: Principal,
    ticket: Uuid,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::new(routes(), &[SCHEMA]).await;
        let database = app.database().connect(6).await.unwrap();
        let shops = database.tenants(StandingPolicy::default());
        let (shop, _) = app.tenant_and_owner().await;
        let agent =
            "select principal_id from mt.memberships where tenant_id = $1 and role = 'agent'";
        let agent = sqlx::query_scalar(agent).bind(shop.as_uuid());
        let agent: Uuid = agent.fetch_one(app.database().admin()).await.unwrap();
        let agent = Principal::new(PrincipalId::from_uuid(agent));
        let ticket = "insert into helpdesk.tickets (tenant_id, id, subject) \
            values ($1, gen_random_uuid(), 'a ticket') returning id";
        let ticket = sqlx::query_scalar(ticket).bind(shop.as_uuid());
        let ticket = ticket.fetch_one(app.database().admin()).await.unwrap();
        let redis = std::env::var("MT_TEST_REDIS_URL").expect("scripts/with-services sets it");
        let queue = queue(&redis, &format!("test:{}", Uuid::new_v4())).await.unwrap();
        Self { app, database, shops, queue, shop, agent, ticket }
    }

    fn comment(&self, text: &str) -> Comment {
        Comment { ticket: self.ticket, text: text.to_owned() }
    }

    /// Asks for a comment in a transaction of `by`, and commits it or rolls it back.
    async fn ask(&self, by: Principal, text: &str, commit: bool) {
        let request = AccessRequest::<TicketsWrite>::new(by, self.shop);
        let mut tx = self.shops.begin(request).await.unwrap();
        let is_new = send(&mut tx, &self.comment(text), text, &EnvelopeKey::new(SECRET)).await;
        assert!(is_new.unwrap());
        if commit { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
    }

    /// Seals a comment in a transaction of the agent.
    async fn seal(&self, text: &str) -> JobEnvelope {
        let request = AccessRequest::<TicketsWrite>::new(self.agent, self.shop);
        let tx = self.shops.begin(request).await.unwrap();
        let key = EnvelopeKey::new(SECRET);
        let envelope = JobEnvelope::new(&tx, &self.comment(text), &key).unwrap();
        tx.commit().await.unwrap();
        envelope
    }

    async fn push(&self, envelope: &JobEnvelope) {
        self.queue.clone().push(envelope.clone()).await.unwrap();
    }

    async fn set_role(&self, role: &str) {
        let update = "update mt.memberships set role = $2 where principal_id = $1";
        let update = sqlx::query(update).bind(self.agent.id().as_uuid()).bind(role);
        update.execute(self.app.database().admin()).await.unwrap();
    }

    /// Passes on what is in the outbox, and returns how much that was.
    async fn pass_on(&self) -> usize {
        let handler = ToRedis(self.queue.clone());
        let dispatcher = Dispatcher::new(self.database.system(), handler, RetryPolicy::default());
        let mut passed = 0;
        while dispatcher.dispatch_next().await.unwrap() {
            passed += 1;
        }
        passed
    }

    /// Starts a worker, waits until what is asked for holds, and stops it.
    async fn work_until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let helpdesks = Helpdesks { shops: self.shops.clone(), key: EnvelopeKey::new(SECRET) };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            _ = stopped.await;
        };
        let worker = tokio::spawn(work(self.queue.clone(), Arc::new(helpdesks), stopped));
        let waiting = async {
            while !holds(self).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
        stop.send(()).unwrap();
        worker.await.unwrap().unwrap();
    }

    async fn comments(&self) -> Vec<String> {
        let texts = sqlx::query_scalar("select text from helpdesk.comments order by id");
        texts.fetch_all(self.app.database().admin()).await.unwrap()
    }

    /// How many tasks Redis holds in one of the sets of the queue.
    async fn in_redis(&self, set: &str) -> u64 {
        let mut connection = self.queue.clone().get_connection().clone();
        redis::cmd("SCARD").arg(set).query_async(&mut connection).await.unwrap()
    }

    async fn done(&self) -> u64 {
        self.in_redis(&self.queue.get_config().done_jobs_set()).await
    }

    async fn refused(&self) -> u64 {
        self.in_redis(&self.queue.get_config().dead_jobs_set()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_of_a_committed_transaction_runs_elsewhere() {
    let world = World::new().await;
    world.ask(world.agent, "committed", true).await;
    world.ask(world.agent, "rolled back", false).await;
    assert_eq!(world.pass_on().await, 1);
    let sent = "select status, last_error from mt.outbox";
    let sent: (String, Option<String>) =
        sqlx::query_as(sent).fetch_one(world.app.database().admin()).await.unwrap();
    assert_eq!(sent, ("sent".to_owned(), None));
    assert!(world.comments().await.is_empty());
    world.work_until("it is done", async |world| world.done().await == 1).await;
    assert_eq!(world.comments().await, ["committed"]);
    // It stands among the tenant's jobs, as done.
    let job = "select kind, status, authority, principal_id from mt.jobs";
    let job: (String, String, String, Option<Uuid>) =
        sqlx::query_as(job).fetch_one(world.app.database().admin()).await.unwrap();
    let by = Some(world.agent.id().as_uuid());
    let expected = ("tickets.comment".to_owned(), "done".to_owned(), "principal".to_owned(), by);
    assert_eq!(job, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_that_is_delivered_again_has_its_effect_once() {
    let world = World::new().await;
    let (one, two) = (world.seal("one").await, world.seal("two").await);
    for envelope in [&one, &one, &two, &one] {
        world.push(envelope).await;
    }
    world.work_until("all are done", async |world| world.done().await == 4).await;
    assert_eq!(world.comments().await, ["one", "two"]);
    // The control: without the row of the job, it has its effect again.
    sqlx::query("delete from mt.jobs").execute(world.app.database().admin()).await.unwrap();
    world.push(&one).await;
    world.work_until("it is done", async |world| world.done().await == 5).await;
    assert_eq!(world.comments().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_who_was_demoted_meanwhile_changes_nothing() {
    let world = World::new().await;
    world.push(&world.seal("as an agent").await).await;
    let late = world.seal("as a viewer").await;
    world.work_until("it is done", async |world| world.done().await == 1).await;
    world.set_role("viewer").await;
    world.push(&late).await;
    world.work_until("it is refused", async |world| world.refused().await == 1).await;
    assert_eq!(world.comments().await, ["as an agent"]);
    // The control: the same envelope runs for an agent.
    world.set_role("agent").await;
    world.push(&late).await;
    world.work_until("it is done", async |world| world.done().await == 2).await;
    assert_eq!(world.comments().await, ["as an agent", "as a viewer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelope_that_was_made_up_in_redis_does_not_run() {
    let world = World::new().await;
    let envelope = serde_json::to_string(&world.seal("harmless").await).unwrap();
    let forged = envelope.replace("harmless", "forged");
    assert_ne!(forged, envelope);
    world.push(&serde_json::from_str(&forged).unwrap()).await;
    world.work_until("it is refused", async |world| world.refused().await == 1).await;
    assert!(world.comments().await.is_empty());
}
