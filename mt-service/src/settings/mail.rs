//! Settings of mail.

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use url::Url;

use super::transport::{has_password, leads_away};
use super::{Reader, Secret, Setting};

/// Settings of mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `SMTP_URL`.
    pub smtp_url: Secret,
    /// `MAIL_FROM`.
    pub from: Mailbox,
}

impl MailConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Option<Self> {
        let takes = "a URL such as `smtps://user:password@host:465`";
        let smtp_url = r.secret("SMTP_URL", takes, |url| {
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_ok()
        });
        let mailbox = "an address such as `Teams <teams@example.org>`";
        let from = r.optional("MAIL_FROM", mailbox, |value| value.parse().ok());
        let (is_mailed, has_sender) = (r.text("SMTP_URL").is_some(), r.text("MAIL_FROM").is_some());
        if is_mailed && !has_sender {
            r.refuse_unset("MAIL_FROM", format!("{mailbox} with `SMTP_URL`"));
        }
        Some(Self { smtp_url: smtp_url?, from: from? })
    }

    /// Returns the variables with their values; `mail` is `None` where no mail is sent.
    #[must_use]
    pub fn shown(mail: Option<&Self>) -> [Setting; 2] {
        [
            Setting::address("SMTP_URL", mail.map(|mail| &mail.smtp_url)),
            Setting::optional("MAIL_FROM", mail.map(|mail| &mail.from)),
        ]
    }

    /// Refuses to send the password in clear.
    pub fn check_production(&self, r: &mut Reader<'_>) {
        if self.sends_password_in_clear() {
            let takes = "in prod, with a password, `smtps://…` or `smtp://…?tls=required`, unless the \
                         host is this machine";
            r.refuse_secret("SMTP_URL", takes);
        }
    }

    /// Returns the risk of sending the password over the network, if there is one.
    #[must_use]
    pub fn transport_risk(&self) -> Option<String> {
        self.sends_password_in_clear().then(|| {
            "SMTP_URL has a password and leads to another host without TLS: use `smtps://`, or add \
             `?tls=required`"
                .to_owned()
        })
    }

    /// Returns whether the password in `SMTP_URL` goes to another host without TLS, or with TLS only if the server
    /// offers it, which an attacker can prevent.
    fn sends_password_in_clear(&self) -> bool {
        Url::parse(self.smtp_url.reveal()).is_ok_and(|url| {
            let requires_tls = url.query_pairs().find(|(name, _)| name == "tls");
            let requires_tls = requires_tls.is_some_and(|(_, value)| value == "required");
            url.scheme() != "smtps" && !requires_tls && has_password(&url) && leads_away(&url)
        })
    }
}
