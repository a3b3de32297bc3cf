//! Random operations of two tenants, compared with a small reference model.
//!
//! The model knows nothing of SQL, locks or policies: it is what a reader believes the library does.
//! It says who sees which notes, who is refused and why, and when a cap is reached. Grants are used
//! fresh and long after they were earned, which must make no difference.

mod model;

use mt_core::access::{Access, AccessError, Facts};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, TenantTx};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use sqlx::AssertSqlSafe;
use tokio::runtime::Runtime;

use self::model::{Belief, Model, Step, Told, step, text};
use crate::support::{
    Acme, Notes, NotesRead, NotesWrite, Plan, Role, World, all_notes, write_note,
};

const PEOPLE: usize = 4;
const TENANTS: usize = 2;
const CASES: u32 = 48;

/// The same operations on a database.
struct Real<'w> {
    world: &'w World,
    people: &'w [Principal; PEOPLE],
    tenants: [TenantId; TENANTS],
}

impl<'w> Real<'w> {
    async fn new(world: &'w World, people: &'w [Principal; PEOPLE]) -> Self {
        let tenants = [world.tenant(people[0]).await, world.tenant(people[1]).await];
        Self { world, people, tenants }
    }

    /// The access that a layer passes on: current, or the widest that the principal ever had.
    async fn access(&self, who: usize, of: usize, stale: bool) -> Result<Access<Acme>, Told> {
        let (principal, tenant) = (self.people[who], self.tenants[of]);
        if stale {
            let facts = Facts::new(Role::Owner, Plan::Team, Standing::Good);
            return Ok(Access::assertion(tenant, principal, facts));
        }
        match self.world.tenants.load_access(principal, tenant).await {
            Ok(access) => Ok(access),
            Err(AccessError::NotAMember) => Err(Told::NotAMember),
            Err(error) => panic!("{error}"),
        }
    }

    async fn read(&self, who: usize, of: usize, stale: bool) -> Result<Told, Told> {
        let access = self.access(who, of, stale).await?;
        let grant = access.authorize::<NotesRead>().map_err(Told::Denied)?;
        let mut tx = self.world.tenants.begin(grant).await.map_err(told)?;
        let notes = all_notes(&mut tx).await;
        tx.commit().await.unwrap();
        Ok(Told::Notes(notes))
    }

    async fn writing(
        &self,
        who: usize,
        of: usize,
        stale: bool,
    ) -> Result<TenantTx<NotesWrite>, Told> {
        let access = self.access(who, of, stale).await?;
        let grant = access.authorize::<NotesWrite>().map_err(Told::Denied)?;
        self.world.tenants.begin(grant).await.map_err(told)
    }

    async fn create(&self, who: usize, of: usize, stale: bool, text: &str) -> Result<Told, Told> {
        let access = self.access(who, of, stale).await?;
        let grant = access.authorize::<NotesWrite>().map_err(Told::Denied)?;
        let (mut tx, cap) =
            self.world.tenants.begin(grant).capped::<Notes>().await.map_err(told)?;
        if cap.permit().is_err() {
            return Ok(Told::CapReached);
        }
        write_note(&mut tx, text).await;
        tx.commit().await.unwrap();
        Ok(Told::Done)
    }

    async fn take(&self, number: usize, step: &Step) -> Told {
        let tenant = |of: usize| self.tenants[of];
        match *step {
            Step::Read { who, of, stale } => {
                return self.read(who, of, stale).await.unwrap_or_else(|told| told);
            }
            Step::Create { who, of, stale } => {
                let created = self.create(who, of, stale, &text(number)).await;
                return created.unwrap_or_else(|told| told);
            }
            Step::Clear { who, of, stale } => {
                let mut tx = match self.writing(who, of, stale).await {
                    Ok(tx) => tx,
                    Err(told) => return told,
                };
                // On purpose without naming the tenant.
                let all = sqlx::query("delete from public.notes");
                all.execute(tx.query::<NotesWrite>()).await.unwrap();
                tx.commit().await.unwrap();
            }
            Step::Join { who, of, role } => {
                let sql = "insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                     values ($1, $2, $3, false) on conflict do nothing";
                sqlx::query(sql)
                    .bind(tenant(of).as_uuid())
                    .bind(self.people[who].id().as_uuid())
                    .bind(mt_core::text_enum::TextEnum::as_str(role))
                    .execute(self.world.db.admin())
                    .await
                    .unwrap();
            }
            Step::Assign { who, of, role } if who != of => {
                self.world.demote(tenant(of), self.people[who], role).await;
            }
            Step::Remove { who, of } if who != of => {
                self.world.remove(tenant(of), self.people[who]).await;
            }
            Step::Assign { .. } | Step::Remove { .. } => {}
            Step::Upgrade { of, plan } => {
                self.set(of, "plan", mt_core::text_enum::TextEnum::as_str(plan)).await;
            }
            Step::Bill { of, paid } => {
                let status = if paid { "active" } else { "unpaid" };
                self.set(of, "subscription_status", status).await;
            }
            Step::Suspend { of, suspension } => {
                self.set(of, "suspension", mt_core::text_enum::TextEnum::as_str(suspension)).await;
            }
        }
        Told::Done
    }

    async fn set(&self, of: usize, column: &str, value: &str) {
        let sql = format!("update mt.tenants set {column} = $2 where id = $1");
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.tenants[of].as_uuid())
            .bind(value)
            .execute(self.world.db.admin())
            .await
            .unwrap();
    }
}

fn told(refused: BeginError) -> Told {
    match refused {
        BeginError::NotAMember => Told::NotAMember,
        BeginError::Denied(denied) => Told::Denied(denied),
        error => panic!("{error}"),
    }
}

/// Plays random histories against a model of that belief, until one tells them apart.
fn play(belief: Belief, seed_is_fixed: bool) -> Result<(), TestError<Vec<Step>>> {
    let runtime = Runtime::new().unwrap();
    let (world, people) = runtime.block_on(async {
        let world = World::new(2).await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(world.user(&format!("person-{number}")).await);
        }
        let people: [Principal; PEOPLE] = people.try_into().unwrap();
        (world, people)
    });
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = if seed_is_fixed {
        TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        )
    } else {
        TestRunner::new(config)
    };
    let history = proptest::collection::vec(step(), 1..40);
    let outcome = runner.run(&history, |steps| {
        runtime.block_on(async {
            let mut model = Model::new(belief);
            let real = Real::new(&world, &people).await;
            for (number, step) in steps.iter().enumerate() {
                let (real, model) = (real.take(number, step).await, model.take(number, step));
                if real != model {
                    let wrong = format!("step {number}, {step:?}: {real:?}, expected {model:?}");
                    return Err(TestCaseError::fail(wrong));
                }
            }
            Ok(())
        })
    });
    drop(world);
    outcome
}

#[test]
fn random_operations_match_the_reference_model() {
    if let Err(wrong) = play(Belief::Right, false) {
        panic!("{wrong}");
    }
}

/// The negative controls: a model with a mistake in it is told apart, so the histories reach it.
#[test]
fn each_wrong_model_is_detected() {
    for belief in [
        Belief::CapIsShared,
        Belief::RemovedStillRead,
        Belief::BillingComesFirst,
        Belief::ReadsSpill,
    ] {
        assert!(play(belief, true).is_err(), "{belief:?} was not noticed");
    }
}
