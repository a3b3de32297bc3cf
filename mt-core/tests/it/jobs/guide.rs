//! The code of `docs/jobs.md`.

use std::sync::Arc;
use std::time::Duration;

use mt_core::access::{AccessRequest, Implies, Permission as _};
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::email::EmailAddress;
use mt_core::pg::audit_log::Action;
use mt_core::pg::jobs::{
    AsService, Job, JobError, JobHandler, JobPolicy, JobRun, JobTx, JobWorkers, Jobs, NewJob,
    Schedule, enqueue,
};
use mt_core::pg::{PgError, Tenant, TenantTx, User};
use mt_core::testing::TestDatabase;
use serde::{Deserialize, Serialize};
use sqlx::Executor as _;

use crate::support::SETUP;

mt_core::model! {
    pub Helpdesk: audited;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Free = "free" (initial) }
    permissions Permission {
        TicketsRead = "tickets.read" [yes] [yes] exempt read;
        TicketsDelete = "tickets.delete" [yes] [yes] exempt write + TicketsRead;
    }
    services { Purger = "ticket-purger" [TicketsDelete]; }
}

const PURGED: Action = Action::new("tickets.purged", "shop");

#[derive(Deserialize, Serialize)]
struct PurgeTickets {
    status: String,
}

impl Job for PurgeTickets {
    type Permission = TicketsDelete;
    type Authority = AsService<Purger>;
    const NAME: &'static str = "purge-tickets";
}

struct Purge;

impl JobHandler<PurgeTickets> for Purge {
    async fn handle(
        &self,
        job: PurgeTickets,
        tx: &mut JobTx<PurgeTickets>,
        _: &JobRun,
    ) -> Result<(), JobError> {
        let entry = PURGED.on(tx.tenant().as_uuid());
        sqlx::query("delete from public.tickets where status = $1")
            .bind(&job.status)
            .execute(tx.execute::<TicketsDelete>(entry))
            .await?;
        Ok(())
    }
}

async fn purge_later<P>(tx: &mut TenantTx<P>) -> Result<(), PgError>
where
    P: Implies<TicketsDelete>,
{
    let job = PurgeTickets { status: "closed".to_owned() };
    let in_an_hour = NewJob::new(&job).after(Duration::from_hours(1)).unique_by("purge");
    enqueue(tx, in_an_hour).await?;
    Ok(())
}

#[tokio::test]
async fn guide_runs() {
    let db = TestDatabase::create().await.unwrap();
    db.admin()
        .execute(
            "create table public.tickets ( \
                 tenant_id uuid not null, id uuid not null default gen_random_uuid(), \
                 status text not null, primary key (tenant_id, id)); \
             alter table public.tickets owner to mt_owner; \
             select mt.isolate('public.tickets')",
        )
        .await
        .unwrap();
    let database = db.connect(4).await.unwrap();
    let mut tx = database.system().begin(SETUP).await.unwrap();
    let email = EmailAddress::parse("ada@example.org").unwrap();
    let ada = User::find_or_create(&mut tx, &email).await.unwrap();
    let shop = Tenant::create::<Helpdesk>(&mut tx, "Ada's shop", ada.id).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query(
        "insert into public.tickets (tenant_id, status) values ($1, 'closed'), ($1, 'open')",
    )
    .bind(shop.id.as_uuid())
    .execute(db.admin())
    .await
    .unwrap();
    let tenants = database.tenants::<Helpdesk>(StandingPolicy::default());
    let stop = std::future::ready(());

    let nightly = Schedule::parse("30 3 * * *").unwrap();
    let closed = PurgeTickets { status: "closed".to_owned() };
    let jobs = Jobs::new(&tenants, JobPolicy::default())
        .register::<PurgeTickets, _>(Purge)
        .schedule("nightly purge", nightly, &closed)
        .unwrap();
    let jobs = Arc::new(jobs);
    let working = tokio::spawn(Arc::clone(&jobs).work(JobWorkers::default(), stop));

    working.await.unwrap();
    let request = AccessRequest::<TicketsDelete>::new(Principal::new(ada.id), shop.id);
    let mut tx = tenants.begin(request).await.unwrap();
    purge_later(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    db.admin().execute("update mt.jobs set run_at = now()").await.unwrap();
    assert!(jobs.run_next().await.unwrap());
    let left: Vec<String> = sqlx::query_scalar("select status from public.tickets")
        .fetch_all(db.admin())
        .await
        .unwrap();
    assert_eq!(left, ["open"]);
    let who: (String, String) =
        sqlx::query_as("select actor_kind, actor_name from mt.audit_log where action = $1")
            .bind(PURGED.word())
            .fetch_one(db.admin())
            .await
            .unwrap();
    assert_eq!(who, ("service".to_owned(), "ticket-purger".to_owned()));
    assert_eq!(TicketsDelete::KEY, Permission::TicketsDelete);
}
