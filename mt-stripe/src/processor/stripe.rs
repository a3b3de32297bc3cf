//! Stripe as a provider of the ledger.

use mt_core::pg::audit_log::Actor;
use mt_core::pg::ledger::{Claimed, Outcome, Provider, Setback};
use mt_core::pg::{PgError, SystemTx};

use super::asking::Asking;
use super::{ProcessorConfig, dunning};
use crate::PROVIDER;
use crate::checkout;
use crate::event::{Effect, Event};
use crate::invoice::InvoiceState;
use crate::order::SubscriptionState;
use crate::state::{self, Realm};

/// What Stripe's events mean. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Stripe {
    pub(super) config: ProcessorConfig,
    pub(super) asking: Option<Asking>,
}

impl Stripe {
    /// With these settings, and nobody who could be asked.
    #[must_use]
    pub const fn new(config: ProcessorConfig) -> Self {
        Self { config, asking: None }
    }
}

impl Provider for Stripe {
    const NAME: &'static str = PROVIDER;
    type Prepared = Event;

    async fn prepare(&self, claimed: &Claimed) -> Result<Event, Outcome> {
        let event = Event::parse(&claimed.body).map_err(|_| Outcome::Ignored("unreadable"))?;
        if let Some(reason) = self.config.refuses(&event) {
            return Err(Outcome::Ignored(reason));
        }
        if let Some(asking) = &self.asking {
            asking.ask(&event, claimed.event.received_at).await?;
        }
        match event.effect() {
            Effect::None(reason) => Err(Outcome::Ignored(reason)),
            Effect::Checkout(_) | Effect::Invoice(_) | Effect::Subscription(_) => Ok(event),
        }
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        claimed: &Claimed,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let Some(customer) = event.customer() else { return Ok(Outcome::Ignored("no_customer")) };
        let Some(created) = event.created() else { return Ok(Outcome::Ignored("no_created")) };
        tx.act_as(Actor::provider(PROVIDER, event.id()));
        let account = event.account().unwrap_or_default();
        let realm = Realm { account, livemode: event.livemode(), customer };
        // The ledger holds the customer that was read when the event came, by an older version perhaps.
        if claimed.event.customer_id.as_deref() != Some(customer) {
            realm.lock(tx).await?;
        }
        if let Effect::Checkout(session) = event.effect() {
            return checkout::complete(tx, realm, &session, &self.config.prices).await;
        }
        let Some(tenant) = realm.tenant(tx).await? else {
            return Ok(Outcome::Waiting(unlinked()));
        };
        if !state::hold_tenant(tx, tenant).await? {
            return Ok(Outcome::Ignored("tenant_gone"));
        }
        let mut failed = None;
        match event.effect() {
            Effect::Subscription(seen) => {
                let seen = SubscriptionState::of(seen, event.kind(), event.id(), created);
                if realm.join_subscription(tx, &seen).await?.is_none() {
                    return Ok(Outcome::Ignored("other_customer"));
                }
            }
            Effect::Invoice(seen) => {
                failed = seen.failed.then(|| seen.id.clone());
                if !realm.join_invoice(tx, &InvoiceState::of(seen, created)).await? {
                    return Ok(Outcome::Ignored("other_customer"));
                }
            }
            Effect::Checkout(_) | Effect::None(_) => {
                return Ok(Outcome::Ignored("unhandled_type"));
            }
        }
        realm.project(tx, tenant, &self.config.prices).await?;
        if let Some(invoice) = failed {
            dunning::dun(tx, realm, tenant, &event, &invoice).await?;
        }
        Ok(Outcome::Processed)
    }
}

/// Nobody pays as this customer yet.
pub(super) fn unlinked() -> Setback {
    Setback::new("unlinked_customer", "no tenant is linked to this customer yet")
}
