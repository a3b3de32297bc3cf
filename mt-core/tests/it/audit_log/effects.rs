//! What the effect of an event records: kept with the effect, and taken back with it.

use mt_core::id::TenantId;
use mt_core::pg::audit_log::{Action, Actor, in_request};
use mt_core::pg::ledger::{
    Claimed, Delivery, EventStatus, Ledger, Outcome, Provider, RetryPolicy, Setback,
};
use mt_core::pg::{PgError, SystemTx};
use uuid::Uuid;

use super::log;
use crate::model::World;

const PAID: Action = Action::new("note.paid", "note");

/// Records something in a tenant, and then does as the event's type says.
struct Recording(TenantId);

impl Provider for Recording {
    const NAME: &'static str = "recording";
    type Prepared = ();

    async fn prepare(&self, _: &Claimed) -> Result<(), Outcome> {
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        claimed: &Claimed,
        (): (),
    ) -> Result<Outcome, PgError> {
        tx.act_as(Actor::provider(Self::NAME, &claimed.event.event_id));
        tx.record(self.0, PAID.on(Uuid::nil()));
        Ok(match claimed.event.kind.as_str() {
            "paid" => Outcome::Processed,
            _ => Outcome::Failed(Setback::new("broken", "it did")),
        })
    }
}

#[tokio::test]
async fn an_effect_that_is_taken_back_leaves_no_entry() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let ledger = Ledger::new(world.database.system(), Recording(tenant), RetryPolicy::default());
    for (id, kind, status) in
        [("evt_1", "broken", EventStatus::Failed), ("evt_2", "paid", EventStatus::Processed)]
    {
        let receiving = ledger.receive(Delivery::new(id, kind, b"{}"));
        assert_eq!(in_request(kind, receiving).await.unwrap().status, status);
    }
    let lines = log(&world, tenant, owner).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.action.as_str(), line.actor_name.as_deref(), line.request_id.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("tenant.created", Some("set a test up"), None),
            ("note.paid", Some("recording evt_2"), Some("paid")),
        ]
    );
}
