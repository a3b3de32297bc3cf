//! Asking Stripe between the claim of an event and its effect, where the event alone cannot tell.
//!
//! Two kinds of events are questions: a thin one, which shows nothing, and one that would leave its
//! subscription ambiguous. The question is asked outside of any transaction; what is joined before it is
//! joined again by the effect, which changes nothing. An event whose question got no answer is *failed*,
//! not acknowledged and forgotten: it is tried again by the ledger's clock, and not before Stripe wants
//! to hear from us.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::{EventStatus, Ledger, Outcome, Setback, find};
use mt_core::pg::{PgError, SystemPool, SystemReason};

use super::Processor;
use super::stripe::{Stripe, TENANT_GONE, unlinked};
use crate::PROVIDER;
use crate::event::{Effect, Event};
use crate::fetch::{FetchError, SubscriptionFetcher, SubscriptionName};
use crate::order::SubscriptionState;
use crate::refetch::{RefetchError, Refetched, Refetcher};
use crate::state::Realm;

const PREPARE: SystemReason = SystemReason::new("see whether an event is a question for Stripe");

impl Processor {
    /// Asks `fetcher` where events cannot tell what a subscription is.
    #[must_use]
    pub fn with_fetcher(self, fetcher: Arc<dyn SubscriptionFetcher>) -> Self {
        let (system, policy) = (self.ledger.system().clone(), self.ledger.policy());
        let config = self.ledger.provider().config.clone();
        let refetcher = Refetcher::new(system.clone(), fetcher, config.prices.clone());
        let asking = Some(Asking { system: system.clone(), refetcher });
        Self { ledger: Ledger::new(system, Stripe { config, asking }, policy) }
    }
}

/// Somebody who can be asked, and what it takes to know whether to.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    system: SystemPool,
    refetcher: Refetcher,
}

impl Asking {
    /// Asks if `event`, which was `received` then by the ledger's clock, is a question.
    ///
    /// # Errors
    ///
    /// The outcome, when the event has no effect of its own, or there was no answer.
    pub(super) async fn ask(&self, event: &Event, received: DateTime<Utc>) -> Result<(), Outcome> {
        match self.outcome(event, received).await {
            Ok(None) => Ok(()),
            Ok(Some(outcome)) => Err(outcome),
            Err(RefetchError::Pg(error)) => {
                tracing::warn!(
                    event = event.id(),
                    cause = std::error::Error::source(&error),
                    "an event could not be looked at for a question to Stripe: {error}",
                );
                Err(Outcome::Failed(Setback::new("database", error.to_string())))
            }
            Err(RefetchError::Fetch(error)) => Err(put_off(event, &error)),
        }
    }

    /// What came of asking; `None` when the event has an effect of its own.
    async fn outcome(
        &self,
        event: &Event,
        received: DateTime<Utc>,
    ) -> Result<Option<Outcome>, RefetchError> {
        let (account, livemode) = (event.account().unwrap_or_default(), event.livemode());
        if let Some(id) = event.asks_about() {
            if self.has_twin(event).await? {
                return Ok(Some(Outcome::Ignored("snapshot_known")));
            }
            let name = SubscriptionName { account, livemode, id };
            return Ok(Some(match self.refetcher.refetch_since(&name, received).await? {
                Refetched::Applied | Refetched::Overtaken => Outcome::Processed,
                Refetched::Missing => Outcome::Ignored("resource_missing"),
                Refetched::TenantGone => Outcome::Ignored(TENANT_GONE),
                Refetched::Unlinked => Outcome::Waiting(unlinked()),
            }));
        }
        if let Some(id) = self.is_question(event).await? {
            self.refetcher.refetch(&SubscriptionName { account, livemode, id: &id }).await?;
        }
        Ok(None)
    }

    /// Whether the snapshot event for the same change is in the ledger, which then says it all.
    async fn has_twin(&self, event: &Event) -> Result<bool, PgError> {
        let Some(twin) = event.snapshot_event() else { return Ok(false) };
        let mut tx = self.system.begin(PREPARE).await?;
        let twin = find(&mut tx, PROVIDER, twin).await?;
        tx.commit().await?;
        let gone = [EventStatus::Dead, EventStatus::Ignored];
        Ok(twin.is_some_and(|twin| !gone.contains(&twin.status)))
    }

    /// The subscription that only Stripe can tell of once this event is joined, which it is then.
    async fn is_question(&self, event: &Event) -> Result<Option<String>, PgError> {
        let Effect::Subscription(change) = event.effect() else { return Ok(None) };
        let (Some(customer), Some(created)) = (event.customer(), event.created()) else {
            return Ok(None);
        };
        let id = change.after.id.clone();
        let seen = SubscriptionState::of(change, event.kind(), event.id(), created);
        let account = event.account().unwrap_or_default();
        let realm = Realm { account, livemode: event.livemode(), customer };
        let mut tx = self.system.begin(PREPARE).await?;
        if realm.tenant(&mut tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(None);
        }
        // Kept in any case: of two events that are joined at once, the second then sees the first.
        let known = realm.join_subscription(&mut tx, &seen).await?;
        tx.commit().await?;
        let asks = known.is_some_and(|known| known.current().is_some_and(|now| now.needs_refetch));
        Ok(asks.then_some(id))
    }
}

/// An event whose question got no answer: again later, and not before Stripe wants it.
fn put_off(event: &Event, error: &FetchError) -> Outcome {
    let (kind, stripe_request) = match error {
        FetchError::Refused { kind, request_id, .. } => (kind.as_deref(), request_id.as_deref()),
        _ => (None, None),
    };
    tracing::warn!(
        event = event.id(),
        kind,
        stripe_request,
        cause = std::error::Error::source(error),
        "an event is a question for Stripe, and there is no answer: {error}",
    );
    let setback = Setback::new(error.reason(), error.to_string())
        .not_before(error.retry_after().unwrap_or_default());
    // However many attempts that takes: Stripe's outage is no fault of the event.
    if error.is_temporary() { Outcome::Waiting(setback) } else { Outcome::Failed(setback) }
}
