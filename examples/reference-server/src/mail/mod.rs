//! Mail: magic links, invites, and what an org's owners have to know.
//!
//! A letter is put into the outbox in the transaction that it tells of ([`Mailer::enqueue`]), sealed, since
//! it may hold a link ([`Seal`]). Dispatchers take letters out when that is committed and hand them to the
//! server at `SMTP_URL`. So
//!
//! * **none is lost**: a server that is killed, or a mail server that is away, delays a letter;
//! * **none is told of what did not happen**: what is rolled back takes its letter along;
//! * **none is sent twice, as far as SMTP allows**: one process has a letter at a time, and a letter that
//!   was taken is marked. Who is killed between the two sends it again, under the same `Message-ID`;
//! * **nobody waits**: an answer takes the same steps whether or not anything is mailed.
//!
//! A letter that cannot be handed over waits and is tried again until it is of no use any more: a link until it
//! runs out, other mail for a week. Only a recipient whom the mail server refuses is final: such a letter is
//! dead, and the log says so. `outcome` decides, by the reply and by the command that it answers.
//!
//! Logs name what failed, and never the address, the token or what the mail server said (it likes
//! to repeat the address).
//!
//! A token travels in the *fragment* of its link (`…/auth/magic#token=…`). Browsers keep fragments
//! to themselves, so it reaches no access log and no `Referer` header.

mod letter;
mod outcome;
pub(crate) mod post;
mod relay;
mod seal;

use std::sync::Arc;

use lettre::message::Mailbox;
use mt_core::email::EmailAddress;
use mt_core::id::TenantId;
use mt_core::pg::ledger::outbox::{Bell, NewMessage, OutboxStats, enqueue_expiring};
use mt_core::pg::{PgError, TxConn};
use mt_core::word::Word as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::letter::Letter;
pub use self::outcome::{Reason, Undelivered};
pub(crate) use self::post::Post;
use self::relay::Relay;
pub use self::seal::Seal;

/// The topic of letters in the outbox. Their payload is `{"sealed"}`.
pub(crate) const MAIL: &str = "mail";

/// Takes letters to be sent, or none when no mail server is configured. Cheap to clone.
///
/// See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Mailer {
    office: Option<Arc<Office>>,
    bell: Bell,
    stats: OutboxStats,
}

#[derive(Debug)]
struct Office {
    from: Mailbox,
    relay: Relay,
    seal: Seal,
}

/// What is sealed.
#[derive(Deserialize, Serialize)]
struct Addressed {
    to: String,
    letter: Letter,
}

impl Mailer {
    /// Sends nothing: what `SMTP_URL` unset means.
    #[must_use]
    pub fn none() -> Self {
        Self::with(None)
    }

    /// Sends through the server at `smtp_url`, as `from`.
    ///
    /// The URL is `smtps://user:password@host:465` for TLS from the first byte,
    /// `smtp://…:587?tls=required` for STARTTLS, and `smtp://host:25` for no encryption at all, as on
    /// the way to a relay on the same host. `from` is an address, or `Name <address>`.
    ///
    /// # Errors
    ///
    /// [`MailConfigError`], which shows neither value: the URL holds a password.
    pub fn smtp(smtp_url: &str, from: &str, seal: Seal) -> Result<Self, MailConfigError> {
        let from = from.parse::<Mailbox>().map_err(|_| MailConfigError::From)?;
        let relay = Relay::from_url(smtp_url)?;
        Ok(Self::with(Some(Arc::new(Office { from, relay, seal }))))
    }

    fn with(office: Option<Arc<Office>>) -> Self {
        Self { office, bell: Bell::default(), stats: OutboxStats::default() }
    }

    /// Whether there is a mail server.
    #[must_use]
    pub const fn is_set_up(&self) -> bool {
        self.office.is_some()
    }

    /// What rings when a letter is ready to go.
    #[must_use]
    pub const fn bell(&self) -> &Bell {
        &self.bell
    }

    /// What came of handing letters over, since the start of this process.
    #[must_use]
    pub const fn stats(&self) -> &OutboxStats {
        &self.stats
    }

    /// Whether the mail server may take mail to `email`, as far as is known: one that has said that it offers no
    /// SMTPUTF8 takes none to an address that is not ASCII.
    ///
    /// # Errors
    ///
    /// [`NotTaken`].
    pub fn accepts(&self, email: &EmailAddress) -> Result<(), NotTaken> {
        let lacks_smtputf8 =
            self.office.as_ref().is_some_and(|office| office.relay.lacks_smtputf8());
        if lacks_smtputf8 && !email.to_wire().is_ascii() { Err(NotTaken) } else { Ok(()) }
    }

    /// Puts `letter` into the outbox, to go to `to` once the transaction of `conn` is committed; ring the
    /// [`bell`](Self::bell) then. `org` is whom it concerns, if anybody yet.
    ///
    /// What comes of it is for logs and metrics; an answer must not depend on it, or it would tell
    /// which addresses are known.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the transaction is to be rolled back.
    pub async fn enqueue(
        &self,
        conn: TxConn<'_>,
        org: Option<TenantId>,
        to: &EmailAddress,
        letter: Letter,
    ) -> Result<(), PgError> {
        let Some(office) = &self.office else { return Ok(()) };
        let name = format!("{MAIL}:{}", uuid::Uuid::now_v7());
        let useful_for = letter.useful_for();
        let addressed = Addressed { to: to.as_str().to_owned(), letter };
        let sealed = serde_json::to_vec(&addressed).ok();
        let Some(sealed) = sealed.and_then(|plain| office.seal.close(&name, plain)) else {
            tracing::error!("a letter could not be sealed and is not sent");
            return Ok(());
        };
        let payload = json!({"sealed": sealed});
        let message = NewMessage { tenant: org, topic: MAIL, dedupe_key: &name, payload };
        enqueue_expiring(conn, &message, useful_for).await.map(|_is_new| ())
    }

    /// Hands `letter` to the mail server and waits for its answer. `id` names it, however often it is
    /// sent.
    ///
    /// # Errors
    ///
    /// [`Undelivered`].
    pub async fn deliver(
        &self,
        to: &EmailAddress,
        letter: &Letter,
        id: &str,
    ) -> Result<(), Undelivered> {
        let Some(office) = &self.office else {
            let detail = "no mail server is configured".to_owned();
            return Err(Undelivered { reason: Reason::Connection, detail });
        };
        let message = letter.addressed(&office.from, to, id);
        let message = message.map_err(|letter::Unaddressable| Undelivered::unaddressable());
        let done = match message {
            Ok(message) => office.relay.hand_over(&message).await,
            Err(unaddressable) => Err(unaddressable),
        };
        match &done {
            Ok(()) => tracing::debug!("a letter was sent"),
            Err(Undelivered { reason, detail }) => {
                let reason = reason.as_str();
                tracing::warn!(reason, detail, "a letter could not be delivered");
            }
        }
        done
    }
}

/// The mail server cannot be asked to deliver to the address. The text may be shown to whoever typed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be ASCII before the `@`: mail to other addresses cannot be sent from here")]
pub struct NotTaken;

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
