//! Caps under concurrency, and their cost on plans without a cap.

use mt_core::access::Denied;
use mt_core::auth::Principal;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, CapReached, TenantTx};
use mt_core::testing::caps::{Attempt, CapRace, Capped, Stage};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{Manage, Notes, NotesRead, NotesWrite, World, write_note};

/// Three notes on the free plan, created in one of the ways that people write it.
struct NotesCreated {
    world: World,
    owner: Principal,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    /// By the primitive.
    Capped,
    /// By counting first, in the same transaction.
    Counting,
    /// By counting in the insert.
    CountingInTheInsert,
    /// By the primitive, for one fewer than there may be.
    CappedTooEarly,
}

const COUNT: &str = "select count(*) from public.notes where tenant_id = (select mt.tenant_id())";

impl NotesCreated {
    async fn how(how: How) -> Self {
        let world = World::new(16).await;
        let owner = world.user("owner").await;
        Self { world, owner, how }
    }

    async fn insert(&self, mut tx: TenantTx<NotesWrite>) -> Attempt {
        write_note(&mut tx, "x").await;
        tx.commit().await.unwrap();
        Attempt::Created
    }
}

impl Capped for NotesCreated {
    type Place = TenantId;

    fn cap(&self) -> usize {
        3
    }

    async fn place(&self) -> TenantId {
        self.world.tenant(self.owner).await
    }

    async fn create(&self, tenant: &TenantId) -> Attempt {
        let tenants = &self.world.tenants;
        let grant = self.world.grant::<NotesWrite>(self.owner, *tenant).await;
        match self.how {
            How::Capped | How::CappedTooEarly => {
                let (mut tx, cap) = tenants.begin(grant).capped::<Notes>().await.unwrap();
                if let Err(reached) = cap.permit() {
                    assert_eq!(reached, CapReached { resource: "notes", cap: 3 });
                    return Attempt::Refused;
                }
                let used: i64 =
                    sqlx::query_scalar(COUNT).fetch_one(tx.query::<NotesRead>()).await.unwrap();
                if used == 2 && matches!(self.how, How::CappedTooEarly) {
                    return Attempt::Refused;
                }
                self.insert(tx).await
            }
            How::Counting => {
                let mut tx = tenants.begin(grant).await.unwrap();
                let used: i64 =
                    sqlx::query_scalar(COUNT).fetch_one(tx.query::<NotesRead>()).await.unwrap();
                if used < 3 { self.insert(tx).await } else { Attempt::Refused }
            }
            How::CountingInTheInsert => {
                let mut tx = tenants.begin(grant).await.unwrap();
                let sql = format!(
                    "insert into public.notes (tenant_id, text) select mt.tenant_id(), 'x' \
                         where ({COUNT}) < 3"
                );
                let done = sqlx::query(AssertSqlSafe(sql)).execute(tx.query::<NotesWrite>()).await;
                let created = done.unwrap().rows_affected() == 1;
                tx.commit().await.unwrap();
                if created { Attempt::Created } else { Attempt::Refused }
            }
        }
    }

    async fn remove(&self, tenant: &TenantId) {
        let sql = "delete from public.notes where tenant_id = $1 and id = \
             (select id from public.notes where tenant_id = $1 limit 1)";
        let admin = self.world.db.admin();
        sqlx::query(sql).bind(tenant.as_uuid()).execute(admin).await.unwrap();
    }

    async fn count(&self, tenant: &TenantId) -> usize {
        let sql = "select count(*) from public.notes where tenant_id = $1";
        let admin = self.world.db.admin();
        let stored: i64 =
            sqlx::query_scalar(sql).bind(tenant.as_uuid()).fetch_one(admin).await.unwrap();
        usize::try_from(stored).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creates_fill_a_tenant_to_its_cap_and_not_beyond() {
    CapRace::default().run(NotesCreated::how(How::Capped).await).await.unwrap();
}

/// The negative controls: what is plausible and wrong does not pass the same race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_without_the_lock_exceeds_the_cap() {
    for how in [How::Counting, How::CountingInTheInsert] {
        let broken = CapRace::default().run(NotesCreated::how(how).await).await.unwrap_err();
        assert!(broken.stored > broken.cap, "{broken}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_below_the_cap_is_reported() {
    let race = CapRace::default().clients(4).rounds(1);
    let broken = race.run(NotesCreated::how(How::CappedTooEarly).await).await.unwrap_err();
    assert_eq!((broken.stage, broken.created, broken.stored), (Stage::Empty, 2, 2));
}

#[tokio::test]
async fn uncapped_plan_does_not_wait_for_the_tenant_lock() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.set(tenant, "plan = 'team'").await;
    let held = world.grant::<Manage>(owner, tenant).await;
    let held = world.tenants.begin(held).exclusive().await.unwrap();
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    let (mut tx, cap) = world.tenants.begin(grant).capped::<Notes>().await.unwrap();
    assert!(cap.permit().is_ok());
    write_note(&mut tx, "x").await;
    tx.commit().await.unwrap();

    // The negative control: on a capped plan it does wait, until the lock's timeout.
    world.db.admin().execute("select 1").await.unwrap();
    let mut access = world.access(owner, tenant).await;
    assert_eq!(access.plan(), crate::support::Plan::Team);
    held.rollback().await.unwrap();
    world.set(tenant, "plan = 'free'").await;
    access = world.access(owner, tenant).await;
    let held = world.grant::<Manage>(owner, tenant).await;
    let held = world.tenants.begin(held).exclusive().await.unwrap();
    let waited =
        world.tenants.begin(access.authorize::<NotesWrite>().unwrap()).capped::<Notes>().await;
    assert!(matches!(waited, Err(BeginError::Pg(mt_core::pg::PgError::Unavailable(_)))));
    drop(held);
}

#[tokio::test]
async fn downgrade_between_grant_and_transaction_lowers_the_cap() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    world.set(tenant, "plan = 'team'").await;
    for _ in 0..5 {
        let grant = world.grant::<NotesWrite>(owner, tenant).await;
        let (mut tx, cap) = world.tenants.begin(grant).capped::<Notes>().await.unwrap();
        assert!(cap.permit().is_ok());
        write_note(&mut tx, "x").await;
        tx.commit().await.unwrap();
    }
    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    world.set(tenant, "plan = 'free'").await;
    let (tx, cap) = world.tenants.begin(grant).capped::<Notes>().await.unwrap();
    assert_eq!(cap.permit().unwrap_err(), CapReached { resource: "notes", cap: 3 });
    tx.rollback().await.unwrap();
    // What is there stays, and can be read.
    assert_eq!(world.count("select count(*) from public.notes").await, 5);

    let grant = world.grant::<NotesWrite>(owner, tenant).await;
    world.set(tenant, "subscription_status = 'canceled'").await;
    let refused = world.tenants.begin(grant).capped::<Notes>().await.unwrap_err();
    assert!(matches!(refused, BeginError::Denied(Denied::PaymentRequired)));
}
