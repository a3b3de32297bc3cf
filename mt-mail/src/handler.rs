//! Delivers the outbox messages that hold emails.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_core::text_enum::TextEnum as _;
use serde_json::Value;

use crate::mailer::AddressedEmail;
use crate::{DeliveryError, EmailMessage, Mailer, Seal};

/// The outbox topic of emails. Their payload is `{"sealed"}`.
pub const MAIL: &str = "mail";

/// The handler of outbox messages with the topic [`MAIL`]: it sends the email. A message of another topic is dead, so
/// a service with several topics passes each message to the handler of its topic.
#[derive(Clone, Debug)]
pub struct MailHandler {
    mailer: Mailer,
}

impl MailHandler {
    /// Creates a handler that sends through `mailer`.
    #[must_use]
    pub const fn new(mailer: Mailer) -> Self {
        Self { mailer }
    }
}

impl Handler for MailHandler {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        if message.topic != MAIL {
            return no_handler(&message.topic);
        }
        let Some(seal) = self.mailer.seal() else { return HandlerOutcome::Skipped(NO_MAILER) };
        let Some(AddressedEmail { to, email }) = unseal(seal, message) else {
            // Retried, because the operator may restore the secret as the previous one.
            tracing::warn!("an email is sealed under another secret and waits");
            return to_delivered(Err(DeliveryError::sealed(seal.setting())));
        };
        let Ok(to) = EmailAddress::parse(&to) else {
            return to_delivered(Err(DeliveryError::invalid_recipient()));
        };
        deliver(&self.mailer, &to, &email, message).await
    }
}

fn unseal(seal: &Seal, message: &Message) -> Option<AddressedEmail> {
    let sealed = message.payload.get("sealed").and_then(Value::as_str)?;
    let plain = seal.open(&message.dedupe_key, sealed)?;
    serde_json::from_slice(&plain).ok()
}

/// Returns the recipient of the email in a message of the topic [`MAIL`], for operators; the content stays sealed.
/// `None` if the email was sent or is sealed under another secret.
#[must_use]
pub fn recipient(seal: &Seal, message: &Message) -> Option<EmailAddress> {
    EmailAddress::parse(&unseal(seal, message)?.to).ok()
}

/// Sends `email` to the mail server unless it has expired, and returns the result for the outbox.
pub(crate) async fn deliver(
    mailer: &Mailer,
    to: &EmailAddress,
    email: &EmailMessage,
    message: &Message,
) -> HandlerOutcome {
    if email.has_expired(SystemClock.now()) {
        return HandlerOutcome::Skipped("expired");
    }
    to_delivered(mailer.deliver(to, email, &message.id.to_string()).await)
}

/// The reason of messages that are skipped because no mail server is configured.
pub(crate) const NO_MAILER: &str = "no_mailer";

/// Returns the outcome for a message of a topic that a handler does not know.
pub(crate) fn no_handler(topic: &str) -> HandlerOutcome {
    HandlerOutcome::Dead(format!("no handler for the topic `{topic}`"))
}

fn to_delivered(result: Result<(), DeliveryError>) -> HandlerOutcome {
    match result {
        Ok(()) => HandlerOutcome::Sent,
        Err(error) => {
            let (reason, is_permanent) = (error.reason.as_str(), error.is_permanent());
            let detail = error.detail;
            if is_permanent {
                HandlerOutcome::Refused { reason, detail }
            } else {
                HandlerOutcome::Deferred { reason, detail }
            }
        }
    }
}
