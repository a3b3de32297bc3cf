//! A job: it deletes the tickets of one shop that have a status.

use std::sync::Arc;
use std::time::Duration;

use mt::access::Implies;
use mt::axum::ServiceError;
use mt::pg::jobs::{
    AsService, Job, JobError, JobHandler, JobPolicy, JobRun, JobTx, Jobs, NewJob, Schedule, enqueue,
};
use mt::pg::{PgError, TenantTx, Tenants};
use mt::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::{Helpdesk, Purger, TicketsDelete};

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

/// Runs [`PurgeTickets`].
struct Purge;

impl JobHandler<PurgeTickets> for Purge {
    async fn handle(
        &self,
        job: PurgeTickets,
        tx: &mut JobTx<PurgeTickets>,
        _: &JobRun,
    ) -> Result<(), JobError> {
        let entry = PURGED.on(tx.tenant().as_uuid());
        sqlx::query(
            "delete from helpdesk.tickets where tenant_id = mt.tenant_id() and status = $1",
        )
        .bind(&job.status)
        .execute(tx.execute::<TicketsDelete>(entry))
        .await?;
        Ok(())
    }
}

/// Enqueues a purge of the transaction's shop, once an hour at most.
///
/// # Errors
///
/// [`PgError`].
pub async fn purge_later<P>(tx: &mut TenantTx<P>) -> Result<(), PgError>
where
    P: Implies<TicketsDelete>,
{
    let job = PurgeTickets { status: "closed".to_owned() };
    let in_an_hour = NewJob::new(&job).after(Duration::from_hours(1)).unique_by("purge");
    enqueue(tx, in_an_hour).await?;
    Ok(())
}

/// The jobs of the helpdesk: a purge when a shop asks for it, and one each night.
///
/// # Errors
///
/// If the schedule cannot be read.
pub fn jobs(shops: &Tenants<Helpdesk>) -> Result<Arc<Jobs<Helpdesk>>, ServiceError> {
    let nightly = Schedule::parse("30 3 * * *")?;
    let closed = PurgeTickets { status: "closed".to_owned() };
    let jobs = Jobs::new(shops, JobPolicy::default()).register::<PurgeTickets, _>(Purge).schedule(
        "nightly purge",
        nightly,
        &closed,
    )?;
    Ok(Arc::new(jobs))
}
