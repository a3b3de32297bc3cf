//! A job of the helpdesk: a comment on a ticket.

use helpdesk::TicketsWrite;
use mt::pg::jobs::{AsPrincipal, Failure, Job, JobError, JobHandler, JobRun, JobTx};
use mt::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const COMMENTED: Action = Action::new("ticket.commented", "ticket");

/// Adds a comment to a ticket, as the agent who asked for it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Comment {
    /// The ticket.
    pub ticket: Uuid,
    /// The text.
    pub text: String,
}

impl Job for Comment {
    type Permission = TicketsWrite;
    type Authority = AsPrincipal;
    const NAME: &'static str = "tickets.comment";
}

/// Handles [`Comment`]. It does not know which queue has delivered the job.
#[derive(Debug)]
pub struct Commenter;

impl JobHandler<Comment> for Commenter {
    async fn handle(
        &self,
        job: Comment,
        tx: &mut JobTx<Comment>,
        _: &JobRun,
    ) -> Result<(), JobError> {
        let insert = "insert into helpdesk.comments (id, ticket_id, text) select $1, id, $3 \
            from helpdesk.tickets where tenant_id = mt.tenant_id() and id = $2";
        let added = sqlx::query(insert)
            .bind(Uuid::now_v7())
            .bind(job.ticket)
            .bind(job.text)
            .execute(tx.execute::<TicketsWrite>(COMMENTED.on(job.ticket)))
            .await?;
        match added.rows_affected() {
            0 => Err(JobError::Dead(Failure::new("ticket", "there is no such ticket"))),
            _ => Ok(()),
        }
    }
}
