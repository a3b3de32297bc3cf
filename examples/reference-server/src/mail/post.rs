//! Who carries letters from the outbox to the mail server.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::pg::ledger::outbox::{Courier, Delivered, Message};
use mt_core::word::Word as _;
use serde_json::Value;

use super::{Addressed, Letter, MAIL, Mailer, Seal, Undelivered};
use crate::billing::OwnersPost;

/// Carries letters, and what billing has to tell an org's owners.
#[derive(Debug)]
pub(crate) struct Post {
    mailer: Mailer,
    owners: OwnersPost,
}

impl Post {
    pub(crate) const fn new(mailer: Mailer, owners: OwnersPost) -> Self {
        Self { mailer, owners }
    }

    async fn letter(&self, message: &Message) -> Delivered {
        let Some(Addressed { to, letter }) = self.opened(message) else {
            // The secret may come back, as `JWT_SECRET_PREVIOUS` or with the version that has it.
            tracing::warn!("a letter is sealed under another secret and waits");
            return answered(Err(Undelivered::sealed()));
        };
        let Ok(to) = EmailAddress::parse(&to) else {
            return answered(Err(Undelivered::unaddressable()));
        };
        deliver(&self.mailer, &to, &letter, message).await
    }

    fn opened(&self, message: &Message) -> Option<Addressed> {
        let office = self.mailer.office.as_ref()?;
        opened(&office.seal, message)
    }
}

fn opened(seal: &Seal, message: &Message) -> Option<Addressed> {
    let sealed = message.payload.get("sealed").and_then(Value::as_str)?;
    let plain = seal.open(&message.dedupe_key, sealed)?;
    serde_json::from_slice(&plain).ok()
}

/// To whom a sealed letter goes, for operators; what it says stays sealed. `None` where it was sent or is
/// sealed under another secret.
pub(crate) fn recipient(seal: &Seal, message: &Message) -> Option<EmailAddress> {
    EmailAddress::parse(&opened(seal, message)?.to).ok()
}

impl Courier for Post {
    async fn deliver(&self, message: &Message) -> Delivered {
        if !self.mailer.is_set_up() {
            return Delivered::Skipped("no_mailer");
        }
        match message.topic.as_str() {
            MAIL => self.letter(message).await,
            _ => self.owners.deliver(message).await,
        }
    }
}

/// Hands `letter` over, and says it in the outbox's words.
pub(crate) async fn deliver(
    mailer: &Mailer,
    to: &EmailAddress,
    letter: &Letter,
    message: &Message,
) -> Delivered {
    if letter.has_ended(SystemClock.now()) {
        return Delivered::Skipped("expired");
    }
    answered(mailer.deliver(to, letter, &message.id.to_string()).await)
}

/// What became of a letter, in the outbox's words.
fn answered(done: Result<(), Undelivered>) -> Delivered {
    match done {
        Ok(()) => Delivered::Sent,
        Err(failed) => {
            let (reason, is_final) = (failed.reason.as_str(), failed.is_final());
            let detail = failed.detail;
            if is_final {
                Delivered::Refused { reason, detail }
            } else {
                Delivered::Deferred { reason, detail }
            }
        }
    }
}
