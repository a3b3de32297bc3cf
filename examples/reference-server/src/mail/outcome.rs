//! What a failed conversation with the relay means for the letter.
//!
//! Only what the relay says of the *recipient* is final, and it can say that in two places: when it is told
//! the recipient, and when it has the message, of which ours have one recipient each. Everything else, from a
//! password that is wrong to a quota that is used up, is the operator's or the relay's to mend: the letter
//! waits. Where it is not certain, it waits, too: a letter that is tried in vain costs less than one that is
//! lost.
//!
//! The reply code alone does not tell (`550` is an unknown mailbox, a blocked sender and an exceeded quota), so
//! the enhanced status code of RFC 3463 decides where the relay sends one.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp;
use mt_core::word::Word;

/// How far the conversation had come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
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

/// Why a letter was not taken: a word of `last_error` and a label of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The relay did not accept the credentials, or asks for some.
    Auth,
    /// The relay cannot be reached, or hung up.
    Connection,
    /// The relay refused the message for what it is.
    Content,
    /// The relay refuses mail of this server, or to this recipient, by a rule of its own.
    Policy,
    /// The relay's answer is not SMTP, or a command was not understood.
    Protocol,
    /// The recipient does not exist or takes no mail. The one final reason of a relay.
    Recipient,
    /// The recipient cannot get it now: full, greylisted, or not to be found out.
    RecipientDeferred,
    /// The relay takes no mail now, or none at all.
    Relay,
    /// The relay does not accept the sender.
    Sender,
    /// The address needs SMTPUTF8, which the relay does not offer.
    SmtpUtf8,
    /// The relay took too long.
    Timeout,
    /// No secure connection came about.
    Tls,
    /// The letter was sealed under a secret that this server does not have.
    Sealed,
}

impl Word for Reason {
    const ALL: &'static [Self] = &[
        Self::Auth,
        Self::Connection,
        Self::Content,
        Self::Policy,
        Self::Protocol,
        Self::Recipient,
        Self::RecipientDeferred,
        Self::Relay,
        Self::Sender,
        Self::SmtpUtf8,
        Self::Timeout,
        Self::Tls,
        Self::Sealed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Connection => "connection",
            Self::Content => "content",
            Self::Policy => "policy",
            Self::Protocol => "protocol",
            Self::Recipient => "recipient",
            Self::RecipientDeferred => "recipient_deferred",
            Self::Relay => "relay",
            Self::Sender => "sender",
            Self::SmtpUtf8 => "smtputf8",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Sealed => "sealed",
        }
    }
}

/// A letter that was not taken. It shows codes and no text of the relay's, which likes to repeat the address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Undelivered {
    /// Why.
    pub reason: Reason,
    /// The same in a line for operators.
    pub detail: String,
}

impl Undelivered {
    /// Whether trying again cannot help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reason == Reason::Recipient
    }

    /// What `error` at `stage` means.
    pub(super) fn of(stage: Stage, error: &smtp::Error) -> Self {
        let at = stage.as_str();
        let Some(code) = error.status().map(u16::from) else {
            let reason = without_reply(stage, error);
            let word = reason.as_str();
            return Self { reason, detail: format!("no good answer at {at} ({word})") };
        };
        // The text of a reply is the error's source; its first word may be the enhanced code.
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        let enhanced = Enhanced::read(code, &text);
        let shown = enhanced.map(|code| format!(" {code}")).unwrap_or_default();
        let reason = judge(stage, code, enhanced);
        Self { reason, detail: format!("the mail server answered {code}{shown} at {at}") }
    }

    pub(super) fn timeout(stage: Stage) -> Self {
        let detail = format!("the mail server took too long at {}", stage.as_str());
        Self { reason: Reason::Timeout, detail }
    }

    pub(super) fn sealed() -> Self {
        let detail = "it is sealed under another JWT_SECRET".to_owned();
        Self { reason: Reason::Sealed, detail }
    }

    pub(super) fn needs_smtputf8() -> Self {
        let detail = "the address needs SMTPUTF8, which the mail server does not offer".to_owned();
        Self { reason: Reason::SmtpUtf8, detail }
    }

    pub(super) fn unaddressable() -> Self {
        let detail = "mail cannot be sent to the address".to_owned();
        Self { reason: Reason::Recipient, detail }
    }
}

/// A failure that no reply code tells of.
fn without_reply(stage: Stage, error: &smtp::Error) -> Reason {
    match stage {
        _ if error.is_timeout() => Reason::Timeout,
        _ if error.is_tls() => Reason::Tls,
        // The handshake failed, or the relay does not offer any.
        Stage::StartTls => Reason::Tls,
        // No mechanism in common.
        Stage::Auth if error.is_client() => Reason::Auth,
        _ if error.is_response() || error.is_client() => Reason::Protocol,
        _ => Reason::Connection,
    }
}

/// Subject and detail of an enhanced status code of class 4 or 5 (RFC 3463 §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Enhanced {
    class: u16,
    subject: u16,
    detail: u16,
}

impl Enhanced {
    /// The code that begins `text`, if it is of the class of the reply (RFC 2034 §4).
    fn read(code: u16, text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace().next()?.split('.');
        let mut number = || {
            let digits = parts.next().filter(|part| (1..=3).contains(&part.len()))?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        (parts.next().is_none() && class == code / 100).then_some(Self { class, subject, detail })
    }

    /// Whether it says of the recipient that mail to it will never arrive (RFC 3463 §3.2, §3.3, RFC 7505 §4).
    ///
    /// `X.1.5` says that it is valid, `X.1.7` and `X.1.8` speak of the sender, and `X.1.9` of a relay on the
    /// way. A mailbox that is full (`X.2.2`) may be emptied.
    const fn is_about_recipient(self) -> bool {
        matches!((self.subject, self.detail), (1, 0 | 1 | 2 | 3 | 4 | 6 | 10) | (2, 0 | 1))
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What a reply of 4yz or 5yz at `stage` says.
fn judge(stage: Stage, code: u16, enhanced: Option<Enhanced>) -> Reason {
    let is_permanent = code / 100 == 5;
    match stage {
        // It closes the connection, at any time (RFC 5321 §3.8).
        _ if code == 421 => Reason::Relay,
        Stage::Connect => Reason::Relay,
        Stage::StartTls => Reason::Tls,
        Stage::Auth => Reason::Auth,
        // Authentication is asked for (RFC 4954 §6).
        _ if matches!(code, 530 | 535) => Reason::Auth,
        // The command was not understood or came at the wrong time (RFC 5321 §4.2.2).
        _ if matches!(code, 500 | 502..=504) => Reason::Protocol,
        Stage::Sender => Reason::Sender,
        Stage::Recipient => match enhanced {
            Some(enhanced) if is_permanent && enhanced.is_about_recipient() => Reason::Recipient,
            Some(Enhanced { subject: 7, .. }) if is_permanent => Reason::Policy,
            // No mailbox, not local, a name that is not allowed (RFC 5321 §4.2.2), no mail here (RFC 7504).
            None if matches!(code, 550 | 551 | 553 | 556) => Reason::Recipient,
            None if code == 554 => Reason::Policy,
            Some(_) | None => Reason::RecipientDeferred,
        },
        // A bare 550 here is most often said of what the message says.
        Stage::Data | Stage::Content => match enhanced {
            Some(enhanced) if is_permanent && enhanced.is_about_recipient() => Reason::Recipient,
            Some(Enhanced { subject: 2, .. }) => Reason::RecipientDeferred,
            _ if is_permanent => Reason::Content,
            _ => Reason::Relay,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stage: Stage, reply: &str) -> Reason {
        let (code, text) = reply.split_once(' ').unwrap();
        let code = code.parse().unwrap();
        judge(stage, code, Enhanced::read(code, text))
    }

    #[test]
    fn only_what_is_said_of_the_recipient_is_final() {
        use Stage::{Auth, Connect, Content, Data, Recipient, Sender, StartTls};
        for (stage, reply, reason) in [
            (Connect, "554 5.1.1 no service", Reason::Relay),
            (Connect, "550 go away", Reason::Relay),
            (StartTls, "454 4.7.0 not now", Reason::Tls),
            (Auth, "535 5.7.8 bad credentials", Reason::Auth),
            (Auth, "550 5.1.1 no such account", Reason::Auth),
            (Sender, "554 5.7.1 rejected", Reason::Sender),
            (Sender, "550 5.1.1 unknown sender", Reason::Sender),
            (Sender, "530 5.7.0 authenticate first", Reason::Auth),
            (Sender, "552 5.2.2 quota", Reason::Sender),
            (Recipient, "550 5.1.1 <ada@example.org> unknown", Reason::Recipient),
            (Recipient, "550 no such user", Reason::Recipient),
            (Recipient, "551 not local", Reason::Recipient),
            (Recipient, "553 not allowed", Reason::Recipient),
            (Recipient, "556 5.1.10 null MX", Reason::Recipient),
            (Recipient, "501 5.1.3 bad syntax", Reason::Recipient),
            (Recipient, "550 5.2.1 disabled", Reason::Recipient),
            (Recipient, "552 5.2.2 full", Reason::RecipientDeferred),
            (Recipient, "552 full", Reason::RecipientDeferred),
            (Recipient, "550 5.7.1 relaying denied", Reason::Policy),
            (Recipient, "554 relay access denied", Reason::Policy),
            (Recipient, "553 5.1.8 bad sender domain", Reason::RecipientDeferred),
            (Recipient, "550 5.4.5 daily quota exceeded", Reason::RecipientDeferred),
            (Recipient, "530 5.7.0 authenticate first", Reason::Auth),
            (Recipient, "503 5.5.1 no MAIL", Reason::Protocol),
            (Recipient, "451 4.7.1 greylisted", Reason::RecipientDeferred),
            (Recipient, "450 4.1.1 greylisted", Reason::RecipientDeferred),
            (Recipient, "421 4.1.1 closing", Reason::Relay),
            (Data, "554 no valid recipients", Reason::Content),
            (Data, "554 5.1.1 no valid recipients", Reason::Recipient),
            (Data, "451 later", Reason::Relay),
            (Content, "550 5.1.1 <ada@example.org> unknown", Reason::Recipient),
            (Content, "550 spam", Reason::Content),
            (Content, "554 5.7.1 spam", Reason::Content),
            (Content, "552 too much mail data", Reason::Content),
            (Content, "552 5.2.2 full", Reason::RecipientDeferred),
            (Content, "452 4.3.1 no space", Reason::Relay),
        ] {
            assert_eq!(judged(stage, reply), reason, "{reply} at {}", stage.as_str());
        }
    }

    #[test]
    fn an_enhanced_code_is_of_its_replys_class() {
        let code = Enhanced { class: 5, subject: 1, detail: 10 };
        assert_eq!(Enhanced::read(556, "5.1.10 null MX"), Some(code));
        for text in ["4.1.1 x", "5.1 x", "5.1.1.1 x", "5.1.x x", "5.1.1000 x", "", "unknown 5.1.1"]
        {
            assert_eq!(Enhanced::read(550, text), None, "{text}");
        }
    }

    #[test]
    fn reasons_are_words_of_their_own() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Ok(*reason));
        }
    }
}
