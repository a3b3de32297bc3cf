//! Delivers the outbox messages that hold emails.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::pg::ledger::outbox::{Handler, HandlerOutcome, Message};
use mt_core::text_enum::TextEnum as _;
use serde_json::Value;

use super::{AddressedEmail, DeliveryError, EmailMessage, Mailer, Seal};

/// The handler of outbox messages with the topic [`MAIL`](super::MAIL).
#[derive(Debug)]
pub(crate) struct MailHandler {
    mailer: Mailer,
}

impl MailHandler {
    pub(crate) const fn new(mailer: Mailer) -> Self {
        Self { mailer }
    }

    fn unseal(&self, message: &Message) -> Option<AddressedEmail> {
        unseal(&self.mailer.smtp.as_ref()?.seal, message)
    }
}

impl Handler for MailHandler {
    async fn handle(&self, message: &Message) -> HandlerOutcome {
        let Some(AddressedEmail { to, email }) = self.unseal(message) else {
            // Retried, because the operator may restore the secret as `JWT_SECRET_PREVIOUS`.
            tracing::warn!("an email is sealed under another secret and waits");
            return to_delivered(Err(DeliveryError::sealed()));
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

/// Returns the recipient of a sealed email, for operators; the content stays sealed. `None` if the email was sent or
/// is sealed under another secret.
pub(crate) fn recipient(seal: &Seal, message: &Message) -> Option<EmailAddress> {
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
