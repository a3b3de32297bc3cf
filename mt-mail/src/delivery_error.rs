//! Delivery errors, and how replies of the mail server are classified.
//!
//! A failure is permanent only if the relay rejects the *recipient*. It can do so in reply to `RCPT TO` and, because
//! each of our messages has one recipient, in reply to the message. The operator or the relay can fix every other
//! failure, such as a wrong password or an exhausted quota, so the email is retried. It is retried in cases of doubt
//! as well: a failed retry costs less than a lost email.
//!
//! The reply code alone is ambiguous (`550` is an unknown mailbox, a blocked sender or an exceeded quota), so the
//! enhanced status code of RFC 3463 decides if the relay sends one.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp;
use mt_core::text_enum::TextEnum as _;

/// The step of an SMTP session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Connecting, TLS from the first byte, greeting and `EHLO`.
    Connect,
    /// `STARTTLS` and its handshake.
    StartTls,
    /// `AUTH`.
    Auth,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before any of the message.
    Data,
    /// The message itself.
    Content,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the message",
        }
    }
}

mt_core::text_enum! {
    /// The reason why an email was not delivered: the first word of `last_error` and a label of metrics.
    pub enum FailureReason {
        /// The relay rejected the credentials or requires some.
        Auth = "auth",
        /// The relay cannot be reached or closed the connection.
        Connection = "connection",
        /// The relay rejected the content of the message.
        Content = "content",
        /// The relay rejected the sender or the recipient by a policy of its own.
        Policy = "policy",
        /// The relay's reply is not SMTP, or it did not understand a command.
        Protocol = "protocol",
        /// The recipient does not exist or accepts no mail. The only permanent reason.
        Recipient = "recipient",
        /// The recipient cannot receive it now: the mailbox is full, greylisted or cannot be verified.
        RecipientDeferred = "recipient_deferred",
        /// The relay accepts no mail now, or never does.
        Relay = "relay",
        /// The relay rejected the sender.
        Sender = "sender",
        /// The address needs SMTPUTF8, which the relay does not offer.
        SmtpUtf8 = "smtputf8",
        /// The relay did not reply in time.
        Timeout = "timeout",
        /// The TLS handshake failed or TLS is not offered.
        Tls = "tls",
        /// The email was sealed under a secret that this process does not have.
        Sealed = "sealed",
    }
}

/// The error when an email was not delivered. It holds reply codes but no text of the relay, which often repeats the
/// address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct DeliveryError {
    /// The reason, for metrics.
    pub reason: FailureReason,
    /// The reason in one line, for operators.
    pub detail: String,
}

impl DeliveryError {
    /// Returns whether a retry cannot succeed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.reason == FailureReason::Recipient
    }

    /// Classifies an SMTP error at `stage`.
    pub(crate) fn of(stage: Stage, error: &smtp::Error) -> Self {
        let at = stage.as_str();
        let Some(code) = error.status().map(u16::from) else {
            let reason = without_reply(stage, error);
            let word = reason.as_str();
            return Self { reason, detail: format!("no valid reply at {at} ({word})") };
        };
        // lettre keeps the text of a reply as the error's source; its first word may be the enhanced code.
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        let enhanced = Enhanced::read(code, &text);
        let shown = enhanced.map(|code| format!(" {code}")).unwrap_or_default();
        let reason = classify(stage, code, enhanced);
        Self { reason, detail: format!("the mail server answered {code}{shown} at {at}") }
    }

    pub(crate) fn timeout(stage: Stage) -> Self {
        let detail = format!("the mail server did not reply in time at {}", stage.as_str());
        Self { reason: FailureReason::Timeout, detail }
    }

    /// The email is sealed under another secret than the present one, which operators know as `setting`.
    pub(crate) fn sealed(setting: &str) -> Self {
        let detail = format!("it is sealed under another {setting}");
        Self { reason: FailureReason::Sealed, detail }
    }

    pub(crate) fn needs_smtputf8() -> Self {
        let detail = "the address needs SMTPUTF8, which the mail server does not offer".to_owned();
        Self { reason: FailureReason::SmtpUtf8, detail }
    }

    pub(crate) fn invalid_recipient() -> Self {
        let detail = "mail cannot be sent to the address".to_owned();
        Self { reason: FailureReason::Recipient, detail }
    }
}

/// Classifies a failure without a reply code.
fn without_reply(stage: Stage, error: &smtp::Error) -> FailureReason {
    match stage {
        _ if error.is_timeout() => FailureReason::Timeout,
        _ if error.is_tls() => FailureReason::Tls,
        // The handshake failed, or the relay does not offer STARTTLS.
        Stage::StartTls => FailureReason::Tls,
        // The relay offers no authentication mechanism that lettre supports.
        Stage::Auth if error.is_client() => FailureReason::Auth,
        _ if error.is_response() || error.is_client() => FailureReason::Protocol,
        _ => FailureReason::Connection,
    }
}

/// An enhanced status code of class 4 or 5 (RFC 3463 §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Enhanced {
    class: u16,
    subject: u16,
    detail: u16,
}

impl Enhanced {
    /// Parses the code at the start of `text`; `None` if its class differs from the reply code (RFC 2034 §4).
    fn read(code: u16, text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace().next()?.split('.');
        let mut number = || {
            let digits = parts.next().filter(|part| (1..=3).contains(&part.len()))?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        (parts.next().is_none() && class == code / 100).then_some(Self { class, subject, detail })
    }

    /// Returns whether the code rejects the recipient for good (RFC 3463 §3.2, §3.3, RFC 7505 §4).
    ///
    /// `X.1.5` means a valid recipient, `X.1.7` and `X.1.8` are about the sender, and `X.1.9` is about a relay on the
    /// way. A full mailbox (`X.2.2`) may be emptied.
    const fn rejects_recipient(self) -> bool {
        matches!((self.subject, self.detail), (1, 0 | 1 | 2 | 3 | 4 | 6 | 10) | (2, 0 | 1))
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Classifies a 4yz or 5yz reply at `stage`.
fn classify(stage: Stage, code: u16, enhanced: Option<Enhanced>) -> FailureReason {
    let is_permanent = code / 100 == 5;
    match stage {
        // The relay closes the connection; allowed at any time (RFC 5321 §3.8).
        _ if code == 421 => FailureReason::Relay,
        Stage::Connect => FailureReason::Relay,
        Stage::StartTls => FailureReason::Tls,
        Stage::Auth => FailureReason::Auth,
        // The relay requires authentication (RFC 4954 §6).
        _ if matches!(code, 530 | 535) => FailureReason::Auth,
        // The command was not understood or came at the wrong time (RFC 5321 §4.2.2).
        _ if matches!(code, 500 | 502..=504) => FailureReason::Protocol,
        Stage::Sender => FailureReason::Sender,
        Stage::Recipient => match enhanced {
            Some(enhanced) if is_permanent && enhanced.rejects_recipient() => {
                FailureReason::Recipient
            }
            Some(Enhanced { subject: 7, .. }) if is_permanent => FailureReason::Policy,
            // No mailbox, not local, a name that is not allowed (RFC 5321 §4.2.2), no mail here (RFC 7504).
            None if matches!(code, 550 | 551 | 553 | 556) => FailureReason::Recipient,
            None if code == 554 => FailureReason::Policy,
            Some(_) | None => FailureReason::RecipientDeferred,
        },
        // Most relays that send a bare 550 here reject the content.
        Stage::Data | Stage::Content => match enhanced {
            Some(enhanced) if is_permanent && enhanced.rejects_recipient() => {
                FailureReason::Recipient
            }
            Some(Enhanced { subject: 2, .. }) => FailureReason::RecipientDeferred,
            _ if is_permanent => FailureReason::Content,
            _ => FailureReason::Relay,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(stage: Stage, reply: &str) -> FailureReason {
        let (code, text) = reply.split_once(' ').unwrap();
        let code = code.parse().unwrap();
        classify(stage, code, Enhanced::read(code, text))
    }

    #[test]
    fn only_a_rejected_recipient_is_permanent() {
        use Stage::{Auth, Connect, Content, Data, Recipient, Sender, StartTls};
        for (stage, reply, reason) in [
            (Connect, "554 5.1.1 no service", FailureReason::Relay),
            (Connect, "550 go away", FailureReason::Relay),
            (StartTls, "454 4.7.0 not now", FailureReason::Tls),
            (Auth, "535 5.7.8 bad credentials", FailureReason::Auth),
            (Auth, "550 5.1.1 no such account", FailureReason::Auth),
            (Sender, "554 5.7.1 rejected", FailureReason::Sender),
            (Sender, "550 5.1.1 unknown sender", FailureReason::Sender),
            (Sender, "530 5.7.0 authenticate first", FailureReason::Auth),
            (Sender, "552 5.2.2 quota", FailureReason::Sender),
            (Recipient, "550 5.1.1 <ada@example.org> unknown", FailureReason::Recipient),
            (Recipient, "550 no such user", FailureReason::Recipient),
            (Recipient, "551 not local", FailureReason::Recipient),
            (Recipient, "553 not allowed", FailureReason::Recipient),
            (Recipient, "556 5.1.10 null MX", FailureReason::Recipient),
            (Recipient, "501 5.1.3 bad syntax", FailureReason::Recipient),
            (Recipient, "550 5.2.1 disabled", FailureReason::Recipient),
            (Recipient, "552 5.2.2 full", FailureReason::RecipientDeferred),
            (Recipient, "552 full", FailureReason::RecipientDeferred),
            (Recipient, "550 5.7.1 relaying denied", FailureReason::Policy),
            (Recipient, "554 relay access denied", FailureReason::Policy),
            (Recipient, "553 5.1.8 bad sender domain", FailureReason::RecipientDeferred),
            (Recipient, "550 5.4.5 daily quota exceeded", FailureReason::RecipientDeferred),
            (Recipient, "530 5.7.0 authenticate first", FailureReason::Auth),
            (Recipient, "503 5.5.1 no MAIL", FailureReason::Protocol),
            (Recipient, "451 4.7.1 greylisted", FailureReason::RecipientDeferred),
            (Recipient, "450 4.1.1 greylisted", FailureReason::RecipientDeferred),
            (Recipient, "421 4.1.1 closing", FailureReason::Relay),
            (Data, "554 no valid recipients", FailureReason::Content),
            (Data, "554 5.1.1 no valid recipients", FailureReason::Recipient),
            (Data, "451 later", FailureReason::Relay),
            (Content, "550 5.1.1 <ada@example.org> unknown", FailureReason::Recipient),
            (Content, "550 spam", FailureReason::Content),
            (Content, "554 5.7.1 spam", FailureReason::Content),
            (Content, "552 too much mail data", FailureReason::Content),
            (Content, "552 5.2.2 full", FailureReason::RecipientDeferred),
            (Content, "452 4.3.1 no space", FailureReason::Relay),
        ] {
            assert_eq!(classified(stage, reply), reason, "{reply} at {}", stage.as_str());
        }
    }

    #[test]
    fn an_enhanced_code_has_the_class_of_its_reply() {
        let code = Enhanced { class: 5, subject: 1, detail: 10 };
        assert_eq!(Enhanced::read(556, "5.1.10 null MX"), Some(code));
        for text in ["4.1.1 x", "5.1 x", "5.1.1.1 x", "5.1.x x", "5.1.1000 x", "", "unknown 5.1.1"]
        {
            assert_eq!(Enhanced::read(550, text), None, "{text}");
        }
    }

    #[test]
    fn reasons_have_distinct_texts() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::parse(reason.as_str()), Ok(*reason));
        }
    }
}
