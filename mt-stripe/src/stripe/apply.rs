//! The effects of Stripe's events.

use mt_core::billing::pays_for_a_plan;
use mt_core::pg::audit_log::Actor;
use mt_core::pg::billing::{checkout, departed, hold_tenant, remind};
use mt_core::pg::ledger::{Customer, Failure, LeasedEvent, Outcome, Provider};
use mt_core::pg::{PgError, SystemTx};
use serde_json::Value;

use super::{Stripe, TENANT_GONE};
use crate::PROVIDER;
use crate::event::{Effect, Event, NO_CUSTOMER};
use crate::invoice::InvoiceState;
use crate::order::SubscriptionState;
use crate::state::{self, customer};
use crate::verified::VerifiedEvent;

impl Provider for Stripe {
    const NAME: &'static str = PROVIDER;
    type Event = VerifiedEvent;
    type Prepared = Event;

    async fn prepare(&self, leased: &LeasedEvent) -> Result<Event, Outcome> {
        let event = Event::parse(&leased.body).map_err(|_| malformed("it is not an event"))?;
        if let Some(reason) = self.refuses(&event) {
            return Err(Outcome::Ignored(reason));
        }
        if let Some(flaw) = event.flaw() {
            return Err(malformed(flaw));
        }
        if let Some(asking) = &self.asking {
            asking.ask(&event, leased.event.received_at).await?;
        }
        match event.effect() {
            Effect::Malformed(flaw) => Err(malformed(flaw)),
            Effect::None(reason) => Err(Outcome::Ignored(reason)),
            Effect::Checkout(_)
            | Effect::CustomerDeleted
            | Effect::Invoice(_)
            | Effect::Subscription(_) => Ok(event),
        }
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        leased: &LeasedEvent,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let Some(id) = event.customer() else { return Ok(Outcome::Ignored(NO_CUSTOMER)) };
        let Some(created) = event.created() else { return Ok(malformed("it has no `created`")) };
        tx.act_as(Actor::provider(PROVIDER, event.id()));
        let customer = customer(event.account().unwrap_or_default(), event.livemode(), id);
        // The ledger has locked the customer that was read when the event was received, perhaps by an older version.
        if leased.event.customer_id.as_deref() != Some(id) {
            customer.lock(tx).await?;
        }
        if let Effect::Checkout(session) = event.effect() {
            return checkout::complete(tx, customer, &session.id, &self.prices).await;
        }
        let Some(tenant) = customer.tenant(tx).await? else {
            return self.apply_unlinked(tx, customer, &event).await;
        };
        if let Effect::CustomerDeleted = event.effect() {
            customer.unlink(tx, tenant, &self.prices).await?;
            return Ok(Outcome::Processed);
        }
        if !hold_tenant(tx, tenant).await? {
            return Ok(Outcome::Ignored(TENANT_GONE));
        }
        let mut failed = None;
        match event.effect() {
            Effect::Subscription(seen) => {
                let seen = SubscriptionState::of(seen, event.id(), created);
                if state::join_subscription(tx, customer, &seen).await?.is_none() {
                    return Ok(Outcome::Ignored("other_customer"));
                }
            }
            Effect::Invoice(seen) => {
                let has_failed = seen.failed;
                let seen = InvoiceState::of(seen, created);
                if !state::join_invoice(tx, customer, &seen).await? {
                    return Ok(Outcome::Ignored("other_customer"));
                }
                failed = has_failed.then_some(seen);
            }
            Effect::Checkout(_)
            | Effect::CustomerDeleted
            | Effect::Malformed(_)
            | Effect::None(_) => {
                return Ok(Outcome::Ignored("unhandled_type"));
            }
        }
        let purchases = state::purchases(tx, customer).await?;
        customer.project(tx, tenant, &purchases, &self.prices).await?;
        if let Some(invoice) = failed.map(|invoice| invoice.snapshot())
            && pays_for_a_plan(&invoice, &purchases.subscriptions, &self.prices)
        {
            let attempt = event.object().and_then(|object| object.get("attempt_count"));
            let attempt = attempt.and_then(Value::as_u64).unwrap_or(0);
            remind(tx, customer, tenant, &invoice.id, attempt).await?;
        }
        Ok(Outcome::Processed)
    }
}

impl Stripe {
    /// Applies an event of a customer that pays for no tenant: not yet, or not any more.
    async fn apply_unlinked(
        &self,
        tx: &mut SystemTx,
        customer: Customer<'_>,
        event: &Event,
    ) -> Result<Outcome, PgError> {
        let effect = event.effect();
        match customer.former(tx).await? {
            Some(former) => {
                if former.tenant_deleted
                    && let Effect::Subscription(change) = effect
                {
                    let shown = change.after;
                    let subscription = (shown.id.as_str(), &shown.status);
                    departed::report(tx, customer, subscription, &shown.prices, &self.prices)
                        .await?;
                }
                Ok(Outcome::Ignored(TENANT_GONE))
            }
            None => Ok(match effect {
                Effect::CustomerDeleted => Outcome::Ignored("unknown_customer"),
                _ => Outcome::Deferred(unlinked()),
            }),
        }
    }
}

/// An event that can never be applied as it is.
fn malformed(flaw: &'static str) -> Outcome {
    Outcome::Dead(Failure::new("malformed", flaw))
}

/// The failure of an event whose customer is not linked yet.
pub(super) fn unlinked() -> Failure {
    Failure::new("unlinked_customer", "no tenant is linked to this customer yet")
}
