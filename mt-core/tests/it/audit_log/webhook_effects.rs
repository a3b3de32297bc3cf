//! Audit entries of webhook effects are committed and rolled back with the effect.

use mt_core::id::TenantId;
use mt_core::pg::audit_log::{Action, Actor, in_request};
use mt_core::pg::ledger::{
    EventStatus, Failure, LeasedEvent, Ledger, NewEvent, Outcome, Provider, RetryPolicy,
};
use mt_core::pg::{PgError, SystemTx};
use uuid::Uuid;

use super::log;
use crate::support::World;

const PAID: Action = Action::new("note.paid", "note");

/// Records something in a tenant, and then does as the event's type says.
struct Recording(TenantId);

impl Provider for Recording {
    const NAME: &'static str = "recording";
    type Event = NewEvent;
    type Prepared = ();

    async fn prepare(&self, _: &LeasedEvent) -> Result<(), Outcome> {
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        leased: &LeasedEvent,
        (): (),
    ) -> Result<Outcome, PgError> {
        tx.act_as(Actor::provider(Self::NAME, &leased.event.event_id));
        tx.record(self.0, PAID.on(Uuid::nil()));
        Ok(match leased.event.kind.as_str() {
            "paid" => Outcome::Processed,
            _ => Outcome::Failed(Failure::new("broken", "it did")),
        })
    }
}

#[tokio::test]
async fn rolled_back_effect_leaves_no_audit_entry() {
    let world = World::new(2).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let ledger = Ledger::new(world.database.system(), Recording(tenant), RetryPolicy::default());
    for (id, kind, status) in
        [("evt_1", "broken", EventStatus::Failed), ("evt_2", "paid", EventStatus::Processed)]
    {
        let receiving = ledger.receive(NewEvent::new(id, kind, b"{}"));
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
