//! The handlers of outbox messages, by topic.

use mt_core::pg::billing::DUNNING;
use mt_core::pg::billing::departed::DEPARTED;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_mail::{MAIL, MailHandler, Mailer, OwnerMailHandler, PAYMENT_FAILED_MAIL};
use mt_stripe::billing::Departures;

use crate::app::App;
use crate::limits::Limiter;
use crate::model::Product;
use crate::pages;

/// Passes each outbox message to the handler of its topic.
#[derive(Debug)]
pub(super) struct OutboxHandlers {
    departures: Departures,
    mailer: Mailer,
    mail: MailHandler,
    owner_mail: OwnerMailHandler<Product, Limiter>,
}

impl OutboxHandlers {
    pub(super) fn new(app: &App) -> Self {
        let base_url = app.base_url.clone();
        let owner_mail = OwnerMailHandler::new(
            app.system.clone(),
            app.mailer.clone(),
            app.mail_limits.clone(),
            move |org| pages::billing_url(&base_url, org),
        );
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
