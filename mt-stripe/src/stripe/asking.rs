//! Fetching a subscription from Stripe between the lease of an event and its effect, where the event does not tell.
//!
//! Two kinds of events need that: a thin one, which does not show the subscription, and one that would leave it
//! ambiguous. The request is made outside of any transaction. Before it, the event is joined; the effect joins it again,
//! which changes nothing. Without an answer the event *fails*: it is tried again by the ledger, and not before the time
//! that Stripe asks for.

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::{EventStatus, Failure, Outcome, find};
use mt_core::pg::{PgError, System, SystemReason};

use super::TENANT_GONE;
use super::apply::unlinked;
use crate::PROVIDER;
use crate::event::{Effect, Event};
use crate::fetch::{FetchError, SubscriptionName};
use crate::order::SubscriptionState;
use crate::refetch::{RefetchError, Refetched, Refetcher};
use crate::state::{self, customer};

const PREPARE: SystemReason = SystemReason::new("see whether an event needs a fetch from Stripe");

/// Decides whether an event needs a fetch, and makes it.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    system: System,
    refetcher: Refetcher,
}

impl Asking {
    pub(super) const fn new(system: System, refetcher: Refetcher) -> Self {
        Self { system, refetcher }
    }

    /// Fetches the subscription if `event`, which was `received` then by the database's clock, needs it.
    ///
    /// # Errors
    ///
    /// The outcome, if the event has no effect of its own, or there was no answer.
    pub(super) async fn ask(&self, event: &Event, received: DateTime<Utc>) -> Result<(), Outcome> {
        match self.outcome(event, received).await {
            Ok(None) => Ok(()),
            Ok(Some(outcome)) => Err(outcome),
            Err(RefetchError::Pg(error)) => {
                tracing::warn!(
                    event = event.id(),
                    cause = std::error::Error::source(&error),
                    "deciding whether an event needs a fetch from Stripe failed: {error}",
                );
                Err(Outcome::Failed(Failure::new("database", error.to_string())))
            }
            Err(RefetchError::Fetch(error)) => Err(not_fetched(event, &error)),
        }
    }

    /// The outcome of a thin event; `None` for an event that has an effect of its own.
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
                Refetched::Unlinked => Outcome::Deferred(unlinked()),
            }));
        }
        if let Some(id) = self.needs_fetch(event).await? {
            self.refetcher.refetch(&SubscriptionName { account, livemode, id: &id }).await?;
        }
        Ok(None)
    }

    /// Whether the ledger has the snapshot event of the same change, which shows the subscription.
    async fn has_twin(&self, event: &Event) -> Result<bool, PgError> {
        let Some(twin) = event.snapshot_event() else { return Ok(false) };
        let mut tx = self.system.begin(PREPARE).await?;
        let twin = find(&mut tx, PROVIDER, twin).await?;
        tx.commit().await?;
        let gone = [EventStatus::Dead, EventStatus::Ignored];
        Ok(twin.is_some_and(|twin| !gone.contains(&twin.status)))
    }

    /// Joins the event, and returns the subscription if its state is ambiguous then.
    async fn needs_fetch(&self, event: &Event) -> Result<Option<String>, PgError> {
        let Effect::Subscription(change) = event.effect() else { return Ok(None) };
        let (Some(owner), Some(created)) = (event.customer(), event.created()) else {
            return Ok(None);
        };
        let id = change.after.id.clone();
        let seen = SubscriptionState::of(change, event.id(), created);
        let customer = customer(event.account().unwrap_or_default(), event.livemode(), owner);
        let mut tx = self.system.begin(PREPARE).await?;
        if customer.tenant(&mut tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(None);
        }
        // Committed in any case: of two events that are joined at once, the second one then sees the first.
        let known = state::join_subscription(&mut tx, customer, &seen).await?;
        tx.commit().await?;
        let asks = known.is_some_and(|known| known.current().is_some_and(|now| now.needs_refetch));
        Ok(asks.then_some(id))
    }
}

/// The outcome of an event whose fetch got no answer.
fn not_fetched(event: &Event, error: &FetchError) -> Outcome {
    let (kind, stripe_request) = match error {
        FetchError::Refused { kind, request_id, .. } => (kind.as_deref(), request_id.as_deref()),
        _ => (None, None),
    };
    tracing::warn!(
        event = event.id(),
        kind,
        stripe_request,
        cause = std::error::Error::source(error),
        "an event needs a fetch from Stripe, which failed: {error}",
    );
    let failure = Failure::new(error.reason(), error.to_string())
        .retry_after(error.retry_after().unwrap_or_default());
    // An outage of Stripe does not use up the event's attempts.
    if error.is_temporary() { Outcome::Deferred(failure) } else { Outcome::Failed(failure) }
}
