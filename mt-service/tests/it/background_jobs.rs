//! Jobs among the tasks behind a service: they run, and a stop waits for them for as long as it is told.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::auth::Principal;
use mt_core::billing::{PriceTable, StandingPolicy};
use mt_core::pg::jobs::{
    AsPrincipal, Job, JobError, JobHandler, JobPolicy, JobRun, JobTx, JobWorkers, Jobs, enqueue,
};
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_core::pg::{Database, SystemReason, Tenant, User};
use mt_core::testing::TestDatabase;
use mt_mail::Mailer;
use mt_service::workers::{Background, BackgroundOptions};
use mt_stripe::StripeConfig;
use mt_stripe::billing::{BillingConfig, StripeBilling};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

mt_core::model! {
    /// Shops that count.
    pub Shops;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Basic = "basic" (initial) }
    permissions Right {
        CountsWrite = "counts.write" [yes] [yes] exempt write;
    }
}

const SETUP: SystemReason = SystemReason::new("set up a test");

/// Counts once, and waits until it may end if `hangs` is set.
#[derive(Deserialize, Serialize)]
struct Count {
    hangs: bool,
}

impl Job for Count {
    type Permission = CountsWrite;
    type Authority = AsPrincipal;
    const NAME: &'static str = "count";
}

#[derive(Clone, Default)]
struct Counter {
    begun: Arc<Notify>,
    open: Arc<Notify>,
}

impl JobHandler<Count> for Counter {
    async fn handle(&self, job: Count, tx: &mut JobTx<Count>, _: &JobRun) -> Result<(), JobError> {
        let insert = "insert into public.counts (tenant_id) values (mt.tenant_id())";
        sqlx::query(insert).execute(tx.execute_unaudited::<CountsWrite>()).await?;
        self.begun.notify_one();
        if job.hangs {
            self.open.notified().await;
        }
        Ok(())
    }
}

/// Has no messages to deliver.
struct NoMail;

impl Handler for NoMail {
    async fn handle(&self, _: &Message) -> HandlerOutcome {
        HandlerOutcome::Skipped("test")
    }
}

struct World {
    db: TestDatabase,
    database: Database,
    counter: Counter,
    jobs: Arc<Jobs<Shops>>,
}

impl World {
    /// A shop with one job.
    async fn new(hangs: bool) -> Self {
        let db = TestDatabase::create().await.unwrap();
        let table = "create table public.counts (tenant_id uuid not null, \
             id uuid not null default gen_random_uuid(), primary key (tenant_id, id)); \
             alter table public.counts owner to mt_owner; select mt.isolate('public.counts')";
        sqlx::raw_sql(table).execute(db.admin()).await.unwrap();
        let database = db.connect(6).await.unwrap();
        let mut tx = database.system().begin(SETUP).await.unwrap();
        let email = mt_core::email::EmailAddress::parse("ada@example.org").unwrap();
        let user = User::find_or_create(&mut tx, &email).await.unwrap();
        let shop = Tenant::create::<Shops>(&mut tx, "a shop", user.id).await.unwrap();
        tx.commit().await.unwrap();
        let shops = database.tenants::<Shops>(StandingPolicy::default());
        let owner = Principal::in_generation(user.id, user.generation);
        let request = AccessRequest::<CountsWrite>::new(owner, shop.id);
        let mut tx = shops.begin(request).await.unwrap();
        enqueue(&mut tx, &Count { hangs }).await.unwrap();
        tx.commit().await.unwrap();
        let counter = Counter::default();
        let jobs = Jobs::new(&shops, JobPolicy::default()).register::<Count, _>(counter.clone());
        Self { db, database, counter, jobs: Arc::new(jobs) }
    }

    fn start(&self) -> Background {
        let config = StripeConfig::new(PriceTable::new("basic"));
        let config = BillingConfig::new(config, "price", "https://shops.example/billing");
        let billing = StripeBilling::new(self.database.system(), config);
        let options = BackgroundOptions::default();
        Background::start(&self.database.system(), &billing, &Mailer::none(), NoMail, options)
            .with_jobs(Arc::clone(&self.jobs), JobWorkers::default())
    }

    /// The status of the job, and how often its effect was committed.
    async fn state(&self) -> (String, i64) {
        let state = "select (select status from mt.jobs), (select count(*) from public.counts)";
        sqlx::query_as(state).fetch_one(self.db.admin()).await.unwrap()
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_waits_for_a_job_that_ends_in_time() {
    let world = World::new(true).await;
    let background = world.start();
    world.counter.begun.notified().await;
    let open = Arc::clone(&world.counter.open);
    let stopping = tokio::spawn(background.stop(LONG));
    // Nothing is committed while the job runs.
    assert_eq!(world.state().await, ("running".to_owned(), 0));
    open.notify_one();
    tokio::time::timeout(LONG, stopping).await.expect("it stops").unwrap();
    assert_eq!(world.state().await, ("done".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_is_bounded_and_leaves_nothing_of_an_aborted_job() {
    let world = World::new(true).await;
    let background = world.start();
    world.counter.begun.notified().await;
    let stopping = background.stop(Duration::from_millis(50));
    tokio::time::timeout(LONG, stopping).await.expect("it stops though the job hangs");
    assert_eq!(world.state().await, ("running".to_owned(), 0));
    // Another process runs it when its lease is over.
    let over = "update mt.jobs set lease_until = now()";
    sqlx::query(over).execute(world.db.admin()).await.unwrap();
    let background = world.start();
    world.counter.begun.notified().await;
    world.counter.open.notify_one();
    background.stop(LONG).await;
    assert_eq!(world.state().await, ("done".to_owned(), 1));
}
