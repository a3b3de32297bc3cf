//! The mailer: it puts emails into the outbox, and sends them by SMTP.

use std::fmt;
use std::sync::Arc;

use lettre::message::Mailbox;
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::pg::ledger::outbox::{Lane, NewMessage, OutboxStats, WakeUp, enqueue_expiring};
use mt_core::pg::{PgError, TxConn};
use mt_core::text_enum::TextEnum as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config_error::MailConfigError;
use crate::delivery_error::{DeliveryError, FailureReason};
use crate::email::{EmailMessage, InvalidRecipient};
use crate::handler::MAIL;
use crate::relay::Relay;
use crate::seal::Seal;
use crate::templates::{English, Templates};

/// Sends emails through the outbox, or discards them when no mail server is configured. Cheap to clone.
///
/// See the [crate's documentation](crate).
#[derive(Clone)]
pub struct Mailer {
    smtp: Option<Arc<Smtp>>,
    templates: Arc<dyn Templates>,
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
pub(crate) struct AddressedEmail {
    pub(crate) to: String,
    pub(crate) email: EmailMessage,
}

impl Mailer {
    /// Creates a mailer that discards every email, for services without a mail server.
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
        Self { smtp, templates: Arc::new(English), main, urgent, stats: OutboxStats::default() }
    }

    /// Replaces the texts of emails, which are [`English`] otherwise.
    #[must_use]
    pub fn with_templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
    }

    pub(crate) fn templates(&self) -> &dyn Templates {
        &*self.templates
    }

    pub(crate) fn seal(&self) -> Option<&Seal> {
        self.smtp.as_ref().map(|smtp| &smtp.seal)
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
    /// the [`wake_up`](Self::wake_up) of the [email's lane](EmailMessage::lane). `tenant` is the tenant that the email
    /// is about, if any.
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
        tenant: Option<TenantId>,
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
        let message = NewMessage { tenant, topic: MAIL, lane, dedupe_key: &name, payload };
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
        let message = message.map_err(|InvalidRecipient| DeliveryError::invalid_recipient());
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

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("smtp", &self.smtp).finish_non_exhaustive()
    }
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
