//! Mail: links to sign in, invites and notices of failed payments.
//!
//! [`Mailer::enqueue`] inserts an email into the outbox in the transaction of the change that causes it. It is
//! encrypted ([`Seal`]), because it may hold a link. After the commit a dispatcher claims it and sends it to the
//! mail server at `SMTP_URL`. Therefore:
//!
//! * **No email is lost**: when the server is killed or the mail server is down, the email is sent later.
//! * **No email reports a change that did not happen**: a rollback removes the email as well.
//! * **Each email is sent once, as far as SMTP allows**: one process at a time holds an email, and marks it as sent
//!   once the mail server has accepted it. A process that is killed in between causes a second delivery, with the
//!   same `Message-ID`.
//! * **No response waits for mail**: a request takes the same steps whether or not it sends an email.
//! * **A link to sign in waits behind no other email**: it has its own [lane](EmailMessage::lane).
//!
//! When a delivery fails, the email is retried until it expires: an email with a link as long as the link is valid,
//! other email for a week. The one permanent failure is a recipient that the mail server rejects: the email is then
//! dead and logged as such. `delivery_error` classifies failures by the reply and the command it answers.
//!
//! Logs name what failed, and never the address, the token or the text of the mail server, which often repeats the
//! address.
//!
//! A token travels in the *fragment* of its link (`…/auth/magic#token=…`). Browsers do not send fragments, so it
//! reaches no access log and no `Referer` header.

mod delivery_error;
mod email;
pub(crate) mod handler;
mod org_name;
mod relay;
mod seal;
mod templates;

use std::sync::Arc;

use lettre::message::Mailbox;
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::pg::ledger::outbox::{Lane, NewMessage, OutboxStats, WakeUp, enqueue_expiring};
use mt_core::pg::{PgError, TxConn};
use mt_core::text_enum::TextEnum as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::delivery_error::{DeliveryError, FailureReason};
pub use self::email::EmailMessage;
pub(crate) use self::handler::MailHandler;
use self::relay::Relay;
pub use self::seal::Seal;

/// The outbox topic of emails. Their payload is `{"sealed"}`.
pub(crate) const MAIL: &str = "mail";

/// Sends emails through the outbox, or discards them when no mail server is configured. Cheap to clone.
///
/// See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Mailer {
    smtp: Option<Arc<Smtp>>,
    main: WakeUp,
    urgent: WakeUp,
    stats: OutboxStats,
}

/// The mail server, the sender's address and the keys of sealed emails.
#[derive(Debug)]
struct Smtp {
    from: Mailbox,
    relay: Relay,
    seal: Seal,
}

/// The plaintext of a sealed outbox message.
#[derive(Deserialize, Serialize)]
struct AddressedEmail {
    to: String,
    email: EmailMessage,
}

impl Mailer {
    /// Creates a mailer that discards every email, for when `SMTP_URL` is unset.
    #[must_use]
    pub fn none() -> Self {
        Self::with(None)
    }

    /// Creates a mailer that sends through the mail server at `smtp_url`, from the address `from`.
    ///
    /// The URL is `smtps://user:password@host:465` for TLS from the first byte,
    /// `smtp://…:587?tls=required` for STARTTLS, and `smtp://host:25` for no encryption at all, as on
    /// the way to a relay on the same host. `from` is an address, or `Name <address>`.
    ///
    /// # Errors
    ///
    /// [`MailConfigError`] when one of the two cannot be used. Its text holds neither, because the URL holds a
    /// password.
    pub fn smtp(smtp_url: &str, from: &str, seal: Seal) -> Result<Self, MailConfigError> {
        let from = from.parse::<Mailbox>().map_err(|_| MailConfigError::From)?;
        let relay = Relay::from_url(smtp_url)?;
        Ok(Self::with(Some(Arc::new(Smtp { from, relay, seal }))))
    }

    fn with(smtp: Option<Arc<Smtp>>) -> Self {
        let (main, urgent) = (WakeUp::default(), WakeUp::default());
        Self { smtp, main, urgent, stats: OutboxStats::default() }
    }

    /// Returns whether a mail server is configured.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.smtp.is_some()
    }

    /// Returns the wake-up of the dispatchers of `lane`.
    #[must_use]
    pub const fn wake_up(&self, lane: Lane) -> &WakeUp {
        match lane {
            Lane::Main => &self.main,
            Lane::Urgent => &self.urgent,
        }
    }

    /// Returns the counts of delivery attempts since the process started.
    #[must_use]
    pub const fn stats(&self) -> &OutboxStats {
        &self.stats
    }

    /// Checks that the mail server can deliver to `address`, as far as is known: a mail server that does not offer
    /// SMTPUTF8 delivers to ASCII addresses only.
    ///
    /// # Errors
    ///
    /// [`UnsupportedAddress`] when `address` is not ASCII and the mail server lacked SMTPUTF8 at the last connection.
    pub fn accepts(&self, address: &EmailAddress) -> Result<(), UnsupportedAddress> {
        let lacks_smtputf8 = self.smtp.as_ref().is_some_and(|smtp| smtp.relay.lacks_smtputf8());
        if lacks_smtputf8 && !address.to_wire().is_ascii() {
            Err(UnsupportedAddress)
        } else {
            Ok(())
        }
    }

    /// Inserts `email` to the recipient `to` into the outbox, in the transaction of `conn`. After the commit, notify
    /// the [`wake_up`](Self::wake_up) of the [email's lane](EmailMessage::lane). `org` is the org that the email is
    /// about, if any.
    ///
    /// The result of the delivery goes to logs and metrics. A response must not depend on it, because it would reveal
    /// which addresses exist.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the insert fails; roll the transaction back.
    pub async fn enqueue(
        &self,
        conn: TxConn<'_>,
        org: Option<TenantId>,
        to: &EmailAddress,
        email: EmailMessage,
    ) -> Result<(), PgError> {
        let Some(smtp) = &self.smtp else { return Ok(()) };
        let name = format!("{MAIL}:{}", uuid::Uuid::now_v7());
        let (retry_for, lane) = (email.retry_for(), email.lane());
        let addressed = AddressedEmail { to: to.as_str().to_owned(), email };
        let plain = serde_json::to_vec(&addressed).ok();
        let Some(sealed) = plain.and_then(|plain| smtp.seal.seal(&name, plain)) else {
            tracing::error!("an email could not be sealed and is not sent");
            return Ok(());
        };
        let payload = json!({"sealed": sealed});
        let message = NewMessage { tenant: org, topic: MAIL, lane, dedupe_key: &name, payload };
        enqueue_expiring(conn, &message, retry_for).await.map(|_is_new| ())
    }

    /// Sends `email` to the mail server and waits for its reply. `id` becomes part of the `Message-ID` and is the
    /// same at each attempt.
    ///
    /// # Errors
    ///
    /// [`DeliveryError`] when the mail server cannot be reached or does not accept the email.
    pub async fn deliver(
        &self,
        to: &EmailAddress,
        email: &EmailMessage,
        id: &str,
    ) -> Result<(), DeliveryError> {
        let Some(smtp) = &self.smtp else {
            let detail = "no mail server is configured".to_owned();
            return Err(DeliveryError { reason: FailureReason::Connection, detail });
        };
        let message = email.to_message(&smtp.from, to, id);
        let message = message.map_err(|email::InvalidRecipient| DeliveryError::invalid_recipient());
        let result = match message {
            Ok(message) => smtp.relay.send(&message).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) => tracing::debug!("an email was sent"),
            Err(DeliveryError { reason, detail }) => {
                let reason = reason.as_str();
                tracing::warn!(reason, detail, "an email could not be delivered");
            }
        }
        result
    }
}

/// The error when the mail server cannot deliver to an address. Its text may be shown to the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be ASCII before the `@`: mail to other addresses cannot be sent from here")]
pub struct UnsupportedAddress;

/// An error in a mail setting.
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
    fn config_errors_do_not_repeat_the_settings() {
        const FROM: &str = "mt <no-reply@example.org>";
        let smtp = |url: &str, from: &str| Mailer::smtp(url, from, Seal::new(b"secret", None));
        for (url, from, error) in [
            ("smtp://127.0.0.1:25", "hunter2", MailConfigError::From),
            ("smtp://127.0.0.1:25", "a@b.org, hunter2@b.org", MailConfigError::From),
            ("smtp://127.0.0.1:25", "a@b.org\r\nBcc: hunter2@b.org", MailConfigError::From),
            ("hunter2", FROM, MailConfigError::Url),
            ("https://hunter2@mail.example.org", FROM, MailConfigError::Url),
            ("smtp://u:hunter2@mail.example.org?tls=maybe", FROM, MailConfigError::Url),
        ] {
            let refused = smtp(url, from).unwrap_err();
            assert_eq!(refused, error, "{url} {from}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
        for url in ["smtps://u:p@mail.example.org", "smtp://mail.example.org:587?tls=required"] {
            assert!(smtp(url, FROM).is_ok(), "{url}");
        }
    }
}
