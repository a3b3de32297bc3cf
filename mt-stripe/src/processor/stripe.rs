//! Stripe as a provider of the ledger.

use mt_core::pg::audit_log::Actor;
use mt_core::pg::ledger::{Claimed, Outcome, Provider, Setback};
use mt_core::pg::{PgError, SystemTx};

use super::asking::Asking;
use super::{ProcessorConfig, dunning};
use crate::PROVIDER;
use crate::event::{Effect, Event, NO_CUSTOMER};
use crate::invoice::InvoiceState;
use crate::order::SubscriptionState;
use crate::projection::concerns;
use crate::state::{self, Realm};
use crate::{checkout, departed};

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

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &ProcessorConfig {
        &self.config
    }
}

impl Provider for Stripe {
    const NAME: &'static str = PROVIDER;
    type Prepared = Event;

    async fn prepare(&self, claimed: &Claimed) -> Result<Event, Outcome> {
        let event = Event::parse(&claimed.body).map_err(|_| malformed("it is not an event"))?;
        if let Some(reason) = self.config.refuses(&event) {
            return Err(Outcome::Ignored(reason));
        }
        if let Some(flaw) = event.flaw() {
            return Err(malformed(flaw));
        }
        if let Some(asking) = &self.asking {
            asking.ask(&event, claimed.event.received_at).await?;
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
        claimed: &Claimed,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let Some(customer) = event.customer() else { return Ok(Outcome::Ignored(NO_CUSTOMER)) };
        let Some(created) = event.created() else { return Ok(malformed("it has no `created`")) };
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
            return self.apply_unlinked(tx, realm, &event).await;
        };
        if let Effect::CustomerDeleted = event.effect() {
            realm.unlink(tx, tenant, &self.config.prices).await?;
            return Ok(Outcome::Processed);
        }
        if !state::hold_tenant(tx, tenant).await? {
            return Ok(Outcome::Ignored(TENANT_GONE));
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
                let has_failed = seen.failed;
                let seen = InvoiceState::of(seen, created);
                if !realm.join_invoice(tx, &seen).await? {
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
        let known = realm.project(tx, tenant, &self.config.prices).await?;
        if let Some(invoice) = failed
            && concerns(&invoice, &known, &self.config.prices)
        {
            dunning::dun(tx, realm, tenant, &event, &invoice.id).await?;
        }
        Ok(Outcome::Processed)
    }
}

impl Stripe {
    /// Applies an event of a customer that pays for no tenant: not yet, or not any more.
    async fn apply_unlinked(
        &self,
        tx: &mut SystemTx,
        realm: Realm<'_>,
        event: &Event,
    ) -> Result<Outcome, PgError> {
        match realm.former(tx).await? {
            Some(former) => {
                if former.tenant_deleted {
                    departed::report(tx, event, &self.config.prices).await?;
                }
                Ok(Outcome::Ignored(TENANT_GONE))
            }
            None => Ok(match event.effect() {
                Effect::CustomerDeleted => Outcome::Ignored("unknown_customer"),
                _ => Outcome::Waiting(unlinked()),
            }),
        }
    }
}

/// Why an event of a customer that pays for no tenant any more is ignored.
pub(super) const TENANT_GONE: &str = "tenant_gone";

/// An event that can never be applied as it is.
fn malformed(flaw: &'static str) -> Outcome {
    Outcome::Dead(Setback::new("malformed", flaw))
}

/// No tenant pays as this customer yet.
pub(super) fn unlinked() -> Setback {
    Setback::new("unlinked_customer", "no tenant is linked to this customer yet")
}
