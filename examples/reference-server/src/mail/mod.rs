//! Mail: magic links, invites, and what an org's owners have to know.
//!
//! Sending happens outside of the request. A [`Mailer`] puts the letter into a bounded queue and
//! returns at once, so that an answer takes the same time whether or not anything is mailed, and a
//! slow mail server slows nobody down. A task of its own ([`Delivery`]) takes letters out and hands
//! them to the server at `SMTP_URL`, each once: a letter that cannot be delivered is logged and
//! dropped, since whoever waits for it can ask for another.
//!
//! A letter that nobody waits for has its queue in the database (the outbox), and whoever takes it out
//! there [delivers](Mailer::deliver) it by itself, so as to know what came of it.
//!
//! Logs name what failed, and never the address, the token or what the mail server said (it likes
//! to repeat the address).
//!
//! A token travels in the *fragment* of its link (`…/auth/magic#token=…`). Browsers keep fragments
//! to themselves, so it reaches no access log and no `Referer` header.

mod delivery;
mod letter;

use std::sync::Arc;

use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use mt_core::email::EmailAddress;
use tokio::sync::mpsc;

pub use self::delivery::{Delivery, Undelivered};
pub use self::letter::Letter;

/// How many letters wait at most.
const QUEUE: usize = 256;

/// Takes letters to be sent, or none when no mail server is configured. Cheap to clone.
///
/// See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Mailer {
    outbox: Option<Outbox>,
}

#[derive(Clone, Debug)]
struct Outbox {
    from: Arc<Mailbox>,
    queue: mpsc::Sender<Message>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mailer {
    /// Sends nothing: what `SMTP_URL` unset means.
    #[must_use]
    pub const fn none() -> Self {
        Self { outbox: None }
    }

    /// Sends through the server at `smtp_url`, as `from`.
    ///
    /// The URL is `smtps://user:password@host:465` for TLS from the first byte,
    /// `smtp://…:587?tls=required` for STARTTLS, and `smtp://host:25` for no encryption at all, as on
    /// the way to a relay on the same host. `from` is an address, or `Name <address>`.
    ///
    /// The [`Delivery`] does the work; it runs once it is spawned.
    ///
    /// # Errors
    ///
    /// [`MailConfigError`], which shows neither value: the URL holds a password.
    pub fn smtp(smtp_url: &str, from: &str) -> Result<(Self, Delivery), MailConfigError> {
        let from = from.parse::<Mailbox>().map_err(|_| MailConfigError::From)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url)
            .map_err(|_| MailConfigError::Url)?
            .timeout(Some(delivery::PATIENCE))
            .build();
        let (queue, letters) = mpsc::channel(QUEUE);
        let outbox = Outbox { from: Arc::new(from), queue, transport: transport.clone() };
        let mailer = Self { outbox: Some(outbox) };
        Ok((mailer, Delivery::new(transport, letters)))
    }

    /// Whether there is a mail server.
    #[must_use]
    pub const fn is_set_up(&self) -> bool {
        self.outbox.is_some()
    }

    /// Hands `letter` to the mail server and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Undelivered`].
    pub async fn deliver(&self, to: &EmailAddress, letter: Letter) -> Result<(), Undelivered> {
        let outbox = self.outbox.as_ref().ok_or(Undelivered::ForNow("no mail server"))?;
        let message = letter.addressed(&outbox.from, to);
        let message =
            message.map_err(|letter::Unaddressable| Undelivered::ForGood("unaddressable"))?;
        delivery::hand_over(&outbox.transport, message).await
    }

    /// Puts `letter` on its way to `to`, and does not wait for it to arrive.
    ///
    /// What comes of it is for logs and metrics; an answer must not depend on it, or it would tell
    /// which addresses are known.
    pub fn send(&self, to: &EmailAddress, letter: Letter) -> Posted {
        let Some(outbox) = &self.outbox else { return Posted::NoMailer };
        let posted = match letter.addressed(&outbox.from, to) {
            Err(letter::Unaddressable) => Posted::Unaddressable,
            Ok(message) => match outbox.queue.try_send(message) {
                Ok(()) => Posted::Queued,
                Err(_) => Posted::Refused,
            },
        };
        if posted != Posted::Queued {
            tracing::warn!(?posted, "a letter was not sent");
        }
        posted
    }
}

/// What came of posting a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a letter that was not queued will not arrive"]
pub enum Posted {
    /// No mail server is configured.
    NoMailer,
    /// It waits to be sent.
    Queued,
    /// Too many are waiting already, or the server is stopping.
    Refused,
    /// Mail servers do not take such an address.
    Unaddressable,
}

/// Which mail setting cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MailConfigError {
    /// `MAIL_FROM`.
    #[error("`MAIL_FROM` must be an address, or `Name <address>`")]
    From,
    /// `SMTP_URL`.
    #[error(
        "`SMTP_URL` must be `smtps://user:password@host:465`, `smtp://…:587?tls=required` or \
         `smtp://host:25`"
    )]
    Url,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_not_repeated() {
        const FROM: &str = "mt <no-reply@example.org>";
        for (url, from, error) in [
            ("smtp://127.0.0.1:25", "hunter2", MailConfigError::From),
            ("smtp://127.0.0.1:25", "a@b.org, hunter2@b.org", MailConfigError::From),
            ("smtp://127.0.0.1:25", "a@b.org\r\nBcc: hunter2@b.org", MailConfigError::From),
            ("hunter2", FROM, MailConfigError::Url),
            ("https://hunter2@mail.example.org", FROM, MailConfigError::Url),
            ("smtp://u:hunter2@mail.example.org?tls=maybe", FROM, MailConfigError::Url),
        ] {
            let refused = Mailer::smtp(url, from).unwrap_err();
            assert_eq!(refused, error, "{url} {from}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
        for url in ["smtps://u:p@mail.example.org", "smtp://mail.example.org:587?tls=required"] {
            assert!(Mailer::smtp(url, FROM).is_ok(), "{url}");
        }
    }
}
