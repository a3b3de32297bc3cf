//! Tenants take turns: a job of a tenant that has no other waits for one job of each tenant that has.

use std::collections::{BTreeMap, BTreeSet};

use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, DatabaseOptions};
use mt_core::testing::Relay;
use proptest::prelude::*;
use sqlx::AssertSqlSafe;

use super::*;
use crate::services::tenants;

/// Enqueues jobs as fast as Postgres can. They run as the service.
async fn flood(world: &World, tenant: TenantId, jobs: u32) {
    let sql = format!(
        "insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
         select '{tenant}', gen_random_uuid(), 'service-note', \
             jsonb_build_object('text', n::text, 'then', ''), 'service', 'archivist' \
         from generate_series(1, {jobs}) n"
    );
    world.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
}

/// How many claims it takes until the tenant has no job that is ready, if it takes no more than `most`.
async fn claims_until_done(
    world: &World,
    jobs: &Jobs<Acme>,
    tenant: TenantId,
    most: u32,
) -> Option<u32> {
    let left = "select exists (select from mt.jobs where tenant_id = $1 and status <> 'done')";
    for claims in 1..=most {
        assert!(jobs.run_next().await.unwrap());
        let query = sqlx::query_scalar(left).bind(tenant.as_uuid());
        let is_left: bool = query.fetch_one(world.db.admin()).await.unwrap();
        if !is_left {
            return Some(claims);
        }
    }
    None
}

/// The claims that one job of B takes behind 100 000 of A.
async fn claims_behind_a_flood(world: &World, jobs: &Jobs<Acme>) -> Option<u32> {
    let [a, b] = tenants(world, 2).await.try_into().unwrap();
    flood(world, a, 100_000).await;
    world.db.admin().execute("analyze mt.jobs").await.unwrap();
    for _ in 0..10 {
        assert!(jobs.run_next().await.unwrap());
    }
    flood(world, b, 1).await;
    claims_until_done(world, jobs, b, 20).await
}

#[tokio::test]
async fn one_job_runs_within_two_claims_behind_a_hundred_thousand() {
    let world = World::new(4).await;
    let (jobs, _) = world.jobs(hasty());
    let claims = claims_behind_a_flood(&world, &jobs).await;
    assert!(claims.is_some_and(|claims| claims <= 2), "{claims:?}");
}

/// The control: first in, first out.
#[tokio::test]
async fn first_in_first_out_leaves_the_one_job_behind() {
    let world = World::new(4).await;
    let relay = Relay::rewriting(&world.db.login(), |sql| {
        let by_turn = "order by turn, id limit 1 for update";
        sql.contains(by_turn)
            .then(|| sql.replace(by_turn, "order by created_at, id limit 1 for update"))
    })
    .await
    .unwrap();
    let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(4);
    let database = Database::connect(options).await.unwrap();
    let tenants = database.tenants(StandingPolicy::default());
    let (jobs, _) = jobs(&tenants, hasty());
    assert_eq!(claims_behind_a_flood(&world, &jobs).await, None);
    assert!(!relay.take_rewritten().is_empty());
}

#[tokio::test]
async fn newcomer_waits_for_one_job_of_each_tenant() {
    let world = World::new(4).await;
    let (jobs, _) = world.jobs(hasty());
    let mut others = tenants(&world, 6).await;
    let newcomer = others.pop().unwrap();
    for (number, tenant) in (1..).zip(&others) {
        flood(&world, *tenant, 40 * number).await;
    }
    for _ in 0..33 {
        assert!(jobs.run_next().await.unwrap());
    }
    flood(&world, newcomer, 1).await;
    let claims = claims_until_done(&world, &jobs, newcomer, 20).await;
    assert!(claims.is_some_and(|claims| claims <= 6), "{claims:?}");
    // What was claimed before was shared evenly.
    let shares: Vec<i64> = sqlx::query_scalar(
        "select count(*) from mt.jobs where status = 'done' and tenant_id <> $1 group by tenant_id",
    )
    .bind(newcomer.as_uuid())
    .fetch_all(world.db.admin())
    .await
    .unwrap();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(shares.len() == 5 && most - least <= 1, "{shares:?}");
}

/// The order of jobs, as a model: what `mt.queue_job` and claims do, without a database.
#[derive(Clone, Debug, Default)]
struct Queue {
    clock: i64,
    /// Turn, number and tenant of the jobs that are ready.
    ready: BTreeSet<(i64, usize, u8)>,
    /// The last turn of each tenant.
    last: BTreeMap<u8, i64>,
    enqueued: usize,
    /// A wrong rule: only jobs that are ready count as a tenant's last.
    forgets: bool,
}

impl Queue {
    fn enqueue(&mut self, tenant: u8) -> usize {
        let last = match self.forgets {
            true => self.ready.iter().filter(|job| job.2 == tenant).map(|job| job.0).max(),
            false => self.last.get(&tenant).copied(),
        };
        let turn = self.clock.max(last.map_or(0, |last| last + 1));
        self.last.insert(tenant, turn);
        self.enqueued += 1;
        self.ready.insert((turn, self.enqueued, tenant));
        self.enqueued
    }

    fn claim(&mut self) -> Option<(usize, u8)> {
        let (turn, number, tenant) = self.ready.pop_first()?;
        self.clock = self.clock.max(turn);
        Some((number, tenant))
    }

    /// How many of the tenant's jobs are ready.
    fn backlogs(&self) -> BTreeMap<u8, usize> {
        let mut backlogs = BTreeMap::new();
        for (_, _, tenant) in &self.ready {
            *backlogs.entry(*tenant).or_default() += 1;
        }
        backlogs
    }
}

/// `Some(tenant)` enqueues, `None` claims.
fn history() -> impl Strategy<Value = Vec<Option<u8>>> {
    prop::collection::vec(prop::option::weighted(0.6, 0_u8..5), 1..200)
}

proptest! {
    /// The first job of a tenant waits for at most one job of each other tenant that is waiting.
    #[test]
    fn first_job_waits_for_one_of_each_tenant(before in history(), after in history()) {
        let mut queue = Queue::default();
        for step in before {
            match step {
                Some(tenant) => _ = queue.enqueue(tenant),
                None => _ = queue.claim(),
            }
        }
        // Others than the newcomer, which has no job yet.
        let (waiting, newcomer) = (queue.backlogs().len(), 9);
        let job = queue.enqueue(newcomer);
        let (mut claims, mut later) = (0, BTreeSet::new());
        for step in after.into_iter().chain(std::iter::repeat_n(None, 400)) {
            match step {
                // A tenant that comes later may be before it once.
                Some(tenant) => {
                    later.insert(tenant);
                    queue.enqueue(tenant);
                }
                None => {
                    claims += 1;
                    if queue.claim().is_some_and(|(number, _)| number == job) {
                        break;
                    }
                }
            }
        }
        prop_assert!(claims <= waiting + later.len() + 1, "{claims} claims, {waiting} waiting");
    }

    /// Two tenants that have enough to do get the same number of claims, give or take one.
    #[test]
    fn backlogged_tenants_get_equal_shares(sizes in (20_usize..60, 20_usize..60), claims in 1_usize..20) {
        let mut queue = Queue::default();
        for _ in 0..sizes.0 { queue.enqueue(0); }
        for _ in 0..sizes.1 { queue.enqueue(1); }
        let mut shares = [0_i32; 2];
        for _ in 0..claims {
            let (_, tenant) = queue.claim().unwrap();
            shares[usize::from(tenant)] += 1;
        }
        prop_assert!((shares[0] - shares[1]).abs() <= 1, "{shares:?}");
    }
}

/// How many of 20 claims are tenant 0's, which has enough to do, where tenant 1 enqueues its next job when the last one is
/// claimed.
fn claims_beside_a_chain(forgets: bool) -> usize {
    let mut queue = Queue { forgets, ..Queue::default() };
    for _ in 0..40 {
        queue.enqueue(0);
    }
    queue.enqueue(1);
    let claims = (0..20).map(|_| {
        let (_, tenant) = queue.claim().unwrap();
        if tenant == 1 {
            queue.enqueue(1);
        }
        tenant
    });
    claims.filter(|tenant| *tenant == 0).count()
}

#[test]
fn chain_of_jobs_leaves_others_their_turns() {
    assert_eq!(claims_beside_a_chain(false), 10);
    // The control: a tenant whose last turn is forgotten goes first each time.
    assert_eq!(claims_beside_a_chain(true), 1);
}

#[tokio::test]
async fn chain_of_jobs_leaves_others_their_turns_in_the_database() {
    let world = World::new(4).await;
    let (jobs, _) = world.jobs(hasty());
    let [a, b] = tenants(&world, 2).await.try_into().unwrap();
    flood(&world, a, 40).await;
    flood(&world, b, 1).await;
    let done = "select count(*) from mt.jobs where tenant_id = $1 and status = 'done'";
    let mut of_b = 0;
    for _ in 0..20 {
        assert!(jobs.run_next().await.unwrap());
        let query = sqlx::query_scalar(done).bind(b.as_uuid());
        let now: i64 = query.fetch_one(world.db.admin()).await.unwrap();
        if now > of_b {
            of_b = now;
            flood(&world, b, 1).await;
        }
    }
    assert!((9..=11).contains(&of_b), "{of_b} of 20");
}

/// The database gives the same turns as the model, in a history that is the same each time.
#[tokio::test]
async fn database_claims_in_the_order_of_the_model() {
    let world = World::new(4).await;
    let (jobs, _) = world.jobs(hasty());
    let tenants = tenants(&world, 3).await;
    let mut queue = Queue::default();
    let mut state = 7_u32;
    let mut claimed = Vec::new();
    for _ in 0..80 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 29 {
            5.. => {
                let expected = queue.claim().map(|(_, tenant)| tenants[usize::from(tenant)]);
                assert_eq!(jobs.run_next().await.unwrap(), expected.is_some());
                claimed.extend(expected.map(TenantId::as_uuid));
            }
            // Tenant 0 enqueues more than the others.
            number => {
                let tenant = u8::try_from(number.saturating_sub(2)).unwrap();
                queue.enqueue(tenant);
                // Ids in the order in which they are enqueued.
                sqlx::query(
                    "insert into mt.jobs (tenant_id, id, kind, payload, authority, service) \
                     values ($1, $2, 'service-note', '{\"text\": \"x\", \"then\": \"\"}', 'service', \
                         'archivist')",
                )
                .bind(tenants[usize::from(tenant)].as_uuid())
                .bind(JobId::generate().as_uuid())
                .execute(world.db.admin())
                .await
                .unwrap();
            }
        }
    }
    let done: Vec<uuid::Uuid> =
        sqlx::query_scalar("select tenant_id from mt.jobs where status = 'done' order by done_at")
            .fetch_all(world.db.admin())
            .await
            .unwrap();
    assert!(done.len() > 10);
    assert_eq!(done, claimed);
}
