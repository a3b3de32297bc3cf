//! Asking Stripe between the claim of an event and its effect, where the event alone cannot tell.
//!
//! Two kinds of events are questions: a thin one, which shows nothing, and one that would leave its
//! subscription ambiguous. The question is asked outside of any transaction; what is joined before it is
//! joined again by the effect, which changes nothing. An event whose question got no answer is *failed*,
//! not acknowledged and forgotten: it is tried again by the ledger's clock, and not before Stripe wants
//! to hear from us.

use std::sync::Arc;
use std::time::Duration;

use mt_core::pg::ledger::{self, Claimed, EventStatus, Outcome, RetryPolicy};
use mt_core::pg::{PgError, SystemReason};

use super::{Attempt, Processor};
use crate::PROVIDER;
use crate::event::{Effect, Event};
use crate::fetch::{FetchError, SubscriptionFetcher, SubscriptionName};
use crate::order::SubscriptionState;
use crate::refetch::{RefetchError, Refetched, Refetcher};
use crate::state::Realm;

const PREPARE: SystemReason = SystemReason::new("see whether an event is a question for Stripe");
const SETTLE: SystemReason = SystemReason::new("mark an event that was a question for Stripe");

impl Processor {
    /// Asks `fetcher` where events cannot tell what a subscription is.
    #[must_use]
    pub fn with_fetcher(mut self, fetcher: Arc<dyn SubscriptionFetcher>) -> Self {
        let (system, prices) = (self.system.clone(), self.config.prices.clone());
        self.refetcher = Some(Refetcher::new(system, fetcher, prices));
        self
    }

    /// One attempt, with the question that comes before it.
    pub(super) async fn ask_then_attempt(&self, claimed: &Claimed) -> Result<Attempt, PgError> {
        let Some(refetcher) = &self.refetcher else { return self.attempt(claimed).await };
        let Ok(event) = Event::parse(&claimed.event.body) else {
            return self.attempt(claimed).await;
        };
        if self.config.refuses(&event).is_none() {
            match self.ask(refetcher, &event).await {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    return self.settle(claimed, &outcome, self.config.retry).await;
                }
                Err(RefetchError::Pg(error)) => return Err(error),
                Err(RefetchError::Fetch(error)) => return self.put_off(claimed, &error).await,
            }
        }
        self.attempt(claimed).await
    }

    /// What came of asking; `None` when the event has an effect of its own.
    async fn ask(
        &self,
        refetcher: &Refetcher,
        event: &Event,
    ) -> Result<Option<Outcome>, RefetchError> {
        let (account, livemode) = (event.account().unwrap_or_default(), event.livemode());
        if let Some(id) = event.asks_about() {
            if self.has_twin(event).await? {
                return Ok(Some(Outcome::Ignored("snapshot_known")));
            }
            let name = SubscriptionName { account, livemode, id };
            return Ok(Some(match refetcher.refetch(&name).await? {
                Refetched::Applied | Refetched::Overtaken => Outcome::Processed,
                Refetched::Missing => Outcome::Ignored("resource_missing"),
                Refetched::Unlinked => Outcome::Waiting {
                    reason: "unlinked_customer",
                    detail: "no tenant is linked to this customer yet".to_owned(),
                },
            }));
        }
        if let Some(id) = self.is_question(event).await? {
            refetcher.refetch(&SubscriptionName { account, livemode, id: &id }).await?;
        }
        Ok(None)
    }

    /// Whether the snapshot event for the same change is in the ledger, which then says it all.
    async fn has_twin(&self, event: &Event) -> Result<bool, PgError> {
        let Some(twin) = event.snapshot_event() else { return Ok(false) };
        let mut tx = self.system.begin(PREPARE).await?;
        let twin = ledger::find(&mut tx, PROVIDER, twin).await?;
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
        realm.lock(&mut tx).await?;
        if realm.tenant(&mut tx).await?.is_none() {
            return Ok(None);
        }
        let known = realm.join_subscription(&mut tx, &seen).await?;
        if known.is_some_and(|known| known.current().is_some_and(|now| now.needs_refetch)) {
            tx.commit().await?;
            return Ok(Some(id));
        }
        // The effect joins it, with everything that belongs to it.
        tx.rollback().await?;
        Ok(None)
    }

    /// An event whose question got no answer: again later, and not before Stripe wants it.
    async fn put_off(&self, claimed: &Claimed, error: &FetchError) -> Result<Attempt, PgError> {
        tracing::warn!(
            event = claimed.event.event_id,
            attempt = claimed.event.attempts,
            cause = std::error::Error::source(error),
            "an event is a question for Stripe, and there is no answer: {error}",
        );
        let (reason, detail) = (error.reason(), error.to_string());
        let outcome = match error.is_temporary() {
            // However many attempts that takes: Stripe's outage is no fault of the event.
            true => Outcome::Waiting { reason, detail },
            false => Outcome::Failed { reason, detail },
        };
        let retry = not_before(self.config.retry, claimed.event.attempts, error.retry_after());
        self.settle(claimed, &outcome, retry).await
    }

    async fn settle(
        &self,
        claimed: &Claimed,
        outcome: &Outcome,
        retry: RetryPolicy,
    ) -> Result<Attempt, PgError> {
        let mut tx = self.system.begin(SETTLE).await?;
        if !ledger::settle(&mut tx, claimed, outcome, retry).await? {
            return Ok(Attempt::Fenced);
        }
        let event = ledger::find(&mut tx, PROVIDER, &claimed.event.event_id).await?;
        tx.commit().await?;
        Ok(event.map_or(Attempt::Fenced, |event| Attempt::Settled(event.status)))
    }
}

/// `retry`, with a wait of at least `after` behind attempt number `attempts`: the wait doubles with each
/// attempt, and may be a quarter shorter by chance.
fn not_before(retry: RetryPolicy, attempts: i32, after: Option<Duration>) -> RetryPolicy {
    const LEAST: f64 = 0.75;
    let doubled = 2_f64.powi((attempts - 1).clamp(0, 30));
    let needed = after.unwrap_or_default().div_f64(LEAST * doubled);
    RetryPolicy { backoff: retry.backoff.max(needed), ..retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_wait_is_what_stripe_asked_for() {
        let retry = RetryPolicy { backoff: Duration::from_secs(1), ..RetryPolicy::default() };
        let shortest = |attempts: i32, after| {
            let backoff = not_before(retry, attempts, after).backoff.as_secs_f64();
            backoff * 2_f64.powi(attempts - 1) * 0.75
        };
        for attempts in [1, 2, 5, 9] {
            let own = shortest(attempts, None);
            assert!((shortest(attempts, Some(Duration::ZERO)) - own).abs() < 1e-6);
            let asked = shortest(attempts, Some(Duration::from_mins(10)));
            assert!((asked - 600.0).abs() < 1e-3, "{attempts}: {asked}");
        }
    }
}
