//! The handlers of the library's outbox messages, by topic.

use mt_core::access::AccessModel;
use mt_core::id::TenantId;
use mt_core::limit::RateLimiter;
use mt_core::pg::System;
use mt_core::pg::billing::DUNNING;
use mt_core::pg::billing::departed::DEPARTED;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_mail::{MAIL, MailHandler, MailLimits, Mailer, OwnerMailHandler, PAYMENT_FAILED_MAIL};
use mt_stripe::billing::{Departures, StripeBilling};

/// Passes each outbox message of the library to the handler of its topic. A message of another topic is dead: a service
/// with topics of its own has a [`Handler`] that passes the others on to this one.
#[derive(Debug)]
pub struct OutboxHandlers<M, L> {
    departures: Departures,
    mailer: Mailer,
    mail: MailHandler,
    owner_mail: OwnerMailHandler<M, L>,
}

impl<M: AccessModel, L: RateLimiter> OutboxHandlers<M, L> {
    /// Creates handlers that send through `mailer` within `limits`. `billing_url` returns the URL of a tenant's billing
    /// page.
    pub fn new(
        system: System,
        billing: &StripeBilling,
        mailer: &Mailer,
        limits: MailLimits<L>,
        billing_url: impl Fn(TenantId) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            departures: billing.departures(),
            mailer: mailer.clone(),
            mail: MailHandler::new(mailer.clone()),
            owner_mail: OwnerMailHandler::new(system, mailer.clone(), limits, billing_url),
        }
    }
}

impl<M: AccessModel, L: RateLimiter> Handler for OutboxHandlers<M, L> {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        match message.topic.as_str() {
            DEPARTED => self.departures.handle(message).await,
            _ if !self.mailer.is_configured() => HandlerOutcome::Skipped("no_mailer"),
            MAIL => self.mail.handle(message).await,
            DUNNING | PAYMENT_FAILED_MAIL => self.owner_mail.handle(message).await,
            topic => HandlerOutcome::Dead(format!("no handler for the topic `{topic}`")),
        }
    }
}
