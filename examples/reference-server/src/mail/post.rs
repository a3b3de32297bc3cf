//! Who carries letters from the outbox to the mail server.

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::email::EmailAddress;
use mt_core::pg::ledger::outbox::{Courier, Delivered, Message};
use serde_json::Value;

use super::{Addressed, Letter, MAIL, Mailer, Undelivered};
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
            return Delivered::Never("it was sealed under another secret".to_owned());
        };
        let Ok(to) = EmailAddress::parse(&to) else {
            return Delivered::Never("unaddressable".to_owned());
        };
        deliver(&self.mailer, &to, &letter, message).await
    }

    fn opened(&self, message: &Message) -> Option<Addressed> {
        let office = self.mailer.office.as_ref()?;
        let sealed = message.payload.get("sealed").and_then(Value::as_str)?;
        let plain = office.seal.open(&message.dedupe_key, sealed)?;
        serde_json::from_slice(&plain).ok()
    }
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
    match mailer.deliver(to, letter, &message.id.to_string()).await {
        Ok(()) => Delivered::Sent,
        Err(Undelivered::ForNow(why)) => Delivered::NotYet(why.to_owned()),
        Err(Undelivered::ForGood(why)) => Delivered::Never(why.to_owned()),
    }
}
