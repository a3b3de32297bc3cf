//! Work that no request asks for.

use mt::pg::{PgError, SweepError, SweepReport, Tenants};
use mt::prelude::*;

use crate::model::{Helpdesk, Purger, TicketsDelete};

const PURGED: Action = Action::new("tickets.purged", "shop");

/// Deletes the closed tickets of every shop. Call it once a night.
///
/// # Errors
///
/// [`SweepError`]. The next call goes on where this one has stopped.
pub async fn purge_closed(shops: &Tenants<Helpdesk>) -> Result<SweepReport<PgError>, SweepError> {
    let closed =
        "delete from helpdesk.tickets where tenant_id = mt.tenant_id() and status = 'closed'";
    shops
        .for_each_tenant::<Purger, TicketsDelete>()
        .run(async |tx| {
            let entry = PURGED.on(tx.tenant().as_uuid());
            sqlx::query(closed).execute(tx.execute::<TicketsDelete>(entry)).await?;
            Ok(())
        })
        .await
}
