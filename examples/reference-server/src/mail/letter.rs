//! The letters that are sent, and how they are put on paper.

use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::message::header::{ContentType, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};
use mt_core::email::EmailAddress;
use mt_core::token::SecretToken;

/// What a mail says: a subject and a text. `Debug` shows neither, because the text holds a token.
pub struct Letter {
    subject: String,
    text: String,
}

/// The address passes as an address, but no mail server would take it (RFC 5321 is stricter than
/// [`EmailAddress`]).
#[derive(Debug)]
pub(super) struct Unaddressable;

impl Letter {
    /// A link to sign in with. `base_url` is `BASE_URL`, never the host that a request named.
    #[must_use]
    pub fn magic_link(base_url: &str, token: &SecretToken, valid_for: Duration) -> Self {
        let link = link(base_url, "/auth/magic", token);
        let valid_for = spoken(valid_for);
        Self {
            subject: "Your link to sign in".to_owned(),
            text: format!(
                "Hello,\n\n\
                 open this link to sign in:\n\n\
                 {link}\n\n\
                 It works once, within {valid_for}. If you did not ask for it, ignore this mail: \
                 nobody can sign in without the link.\n"
            ),
        }
    }

    /// An invitation to join the org called `org` as `role`.
    #[must_use]
    pub fn invite(
        base_url: &str,
        token: &SecretToken,
        org: &str,
        role: &str,
        valid_for: Duration,
    ) -> Self {
        let link = link(base_url, "/invites/accept", token);
        let (org, valid_for) = (on_one_line(org), spoken(valid_for));
        Self {
            subject: format!("You are invited to join {org}"),
            text: format!(
                "Hello,\n\n\
                 you are invited to join “{org}” as {role}. Sign in with this address, then accept:\n\n\
                 {link}\n\n\
                 The invitation is for this address only and ends after {valid_for}. If you do not \
                 know who sent it, ignore this mail.\n"
            ),
        }
    }

    /// Word to an owner that a payment of the org called `org` has failed.
    #[must_use]
    pub fn payment_failed(base_url: &str, org: &str) -> Self {
        let (org, base_url) = (on_one_line(org), base_url.trim_end_matches('/'));
        Self {
            subject: format!("A payment for {org} has failed"),
            text: format!(
                "Hello,\n\n\
                 the last payment for “{org}” did not go through. Until it does, everything there can \
                 be read, and nothing changed. You can settle it, or change how you pay, under billing:\n\n\
                 {base_url}\n\n\
                 You get this mail because you are an owner of “{org}”.\n"
            ),
        }
    }

    pub(super) fn addressed(
        self,
        from: &Mailbox,
        to: &EmailAddress,
    ) -> Result<Message, Unaddressable> {
        let to: Address = to.as_str().parse().map_err(|_| Unaddressable)?;
        Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(self.subject)
            // Without it a strict reader shows the transfer encoding, and a long link is broken.
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.text)
            .map_err(|_| Unaddressable)
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").finish_non_exhaustive()
    }
}

fn link(base_url: &str, path: &str, token: &SecretToken) -> String {
    format!("{}{path}#token={}", base_url.trim_end_matches('/'), token.reveal())
}

/// Names hold no control characters; a letter does not take their word for it.
fn on_one_line(name: &str) -> String {
    name.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// `10 minutes`, `7 days`: in the largest unit that leaves no remainder.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        .into_iter()
        .find_map(|(size, unit)| seconds.is_multiple_of(size).then_some((seconds / size, unit)))
        .unwrap_or((seconds, "second"));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spoken_in_whole_units() {
        for (seconds, words) in [
            (600, "10 minutes"),
            (604_800, "7 days"),
            (3600, "1 hour"),
            (90, "90 seconds"),
            (86_400, "1 day"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn links_are_built_on_the_base_url() {
        let token = SecretToken::generate();
        let expected = format!("https://mt.example/app/auth/magic#token={}", token.reveal());
        for base in ["https://mt.example/app", "https://mt.example/app/"] {
            assert_eq!(link(base, "/auth/magic", &token), expected);
        }
    }

    #[test]
    fn an_address_that_mail_servers_refuse_is_said_so() {
        let from: Mailbox = "no-reply@example.org".parse().unwrap();
        let letter = || Letter::magic_link("https://x", &SecretToken::generate(), Duration::ZERO);
        let send = |to: &str| letter().addressed(&from, &EmailAddress::parse(to).unwrap());
        assert!(send("ada@example.org").is_ok());
        assert!(send("ada@exa_mple,org").is_err());
        assert!(send("<ada>@example.org").is_err());
    }

    #[test]
    fn debug_shows_no_token() {
        let token = SecretToken::generate();
        let letter = Letter::magic_link("https://mt.example", &token, Duration::from_mins(10));
        assert!(!format!("{letter:?}").contains(token.reveal()));
    }
}
