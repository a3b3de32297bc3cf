//! The handlers of outbox messages, by topic.

use mt_core::pg::billing::DUNNING;
use mt_core::pg::billing::departed::DEPARTED;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_mail::{MAIL, MailHandler, MailLimits, Mailer, OwnerMailHandler, PAYMENT_FAILED_MAIL};
use mt_stripe::billing::Departures;

use crate::app::App;
use crate::billing::billing_url;
use crate::limits::Limiter;
use crate::model::Product;

/// Passes each outbox message to the handler of its topic.
#[derive(Debug)]
pub(super) struct OutboxHandlers {
    departures: Departures,
    mailer: Mailer,
    mail: MailHandler,
    owner_mail: OwnerMailHandler<Product, Limiter>,
}

impl OutboxHandlers {
    pub(super) fn new(app: &App, limits: MailLimits<Limiter>, base_url: &str) -> Self {
        let base_url = base_url.to_owned();
        let (system, mailer) = (app.system.clone(), app.mailer.clone());
        let owner_mail =
            OwnerMailHandler::new(system, mailer, limits, move |org| billing_url(&base_url, org));
        Self {
            departures: app.billing.departures(),
            mailer: app.mailer.clone(),
            mail: MailHandler::new(app.mailer.clone()),
            owner_mail,
        }
    }
}

impl Handler for OutboxHandlers {
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
