//! The letters that are sent, and how they are put on paper: as text, and as HTML that says the same.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use html_escape::{encode_double_quoted_attribute, encode_text};
use lettre::Address;
use lettre::message::header::MIME_VERSION_1_0;
use lettre::message::{Mailbox, Message, MultiPart};
use mt_core::email::EmailAddress;
use mt_core::token::SecretToken;
use serde::{Deserialize, Serialize};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// What a mail says: a subject and paragraphs. `Debug` shows neither, because a link holds a token.
#[derive(Clone, Deserialize, Serialize)]
pub struct Letter {
    subject: String,
    paragraphs: Vec<Paragraph>,
    /// When what it says is of no use any more.
    ends_at: Option<DateTime<Utc>>,
    /// The same, from when it was written. Letters of an earlier version do not say.
    #[serde(default)]
    useful_for: Option<Duration>,
}

#[derive(Clone, Deserialize, Serialize)]
enum Paragraph {
    Text(String),
    /// An address, under words to press on where words can be pressed.
    Link {
        words: String,
        url: String,
    },
}

/// lettre does not take the address. It takes every [`EmailAddress`], which a test shows.
#[derive(Debug)]
pub(super) struct Unaddressable;

impl Letter {
    /// A link to sign in with. `base_url` is `BASE_URL`, never the host that a request named.
    #[must_use]
    pub fn magic_link(
        base_url: &str,
        token: &SecretToken,
        valid_for: Duration,
        now: DateTime<Utc>,
    ) -> Self {
        let url = link(base_url, "/auth/magic", token);
        let spoken = spoken(valid_for);
        Self {
            subject: "Your link to sign in".to_owned(),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::text("open this link to sign in:"),
                Paragraph::Link { words: "Sign in".to_owned(), url },
                Paragraph::Text(format!(
                    "It works once, within {spoken}. If you did not ask for it, ignore this mail: \
                     nobody can sign in without the link."
                )),
            ],
            ends_at: now.checked_add_signed(chrono_of(valid_for)),
            useful_for: Some(valid_for),
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
        now: DateTime<Utc>,
    ) -> Self {
        let url = link(base_url, "/invites/accept", token);
        let (org, spoken) = (on_one_line(org), spoken(valid_for));
        Self {
            subject: format!("You are invited to join {org}"),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::Text(format!(
                    "you are invited to join “{org}” as {role}. Sign in with this address, then accept:"
                )),
                Paragraph::Link { words: "Accept the invitation".to_owned(), url },
                Paragraph::Text(format!(
                    "The invitation is for this address only and ends after {spoken}. If you do not \
                     know who sent it, ignore this mail."
                )),
            ],
            ends_at: now.checked_add_signed(chrono_of(valid_for)),
            useful_for: Some(valid_for),
        }
    }

    /// Word to an owner that a payment of the org called `org` has failed. `page` is where it is settled.
    #[must_use]
    pub fn payment_failed(page: &str, org: &str) -> Self {
        let org = on_one_line(org);
        Self {
            subject: format!("A payment for {org} has failed"),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::Text(format!(
                    "the last payment for “{org}” did not go through. Until it does, everything there \
                     can be read, and nothing changed. You can settle it, or change how you pay, under \
                     billing:"
                )),
                Paragraph::Link { words: "To billing".to_owned(), url: page.to_owned() },
                Paragraph::Text(format!("You get this mail because you are an owner of “{org}”.")),
            ],
            ends_at: None,
            useful_for: None,
        }
    }

    /// How long it is worth trying to deliver it: for as long as its link works; without one for a week, after
    /// which a failed payment is told of anew or is past mending.
    pub(crate) fn useful_for(&self) -> Duration {
        self.useful_for.unwrap_or(WEEK)
    }

    /// Whether what it says is of no use any more.
    pub(super) fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// `id` stays the same however often the letter is sent, so that whoever receives it twice can tell.
    pub(super) fn addressed(
        &self,
        from: &Mailbox,
        to: &EmailAddress,
        id: &str,
    ) -> Result<Message, Unaddressable> {
        let to: Address = to.to_wire().parse().map_err(|_| Unaddressable)?;
        Message::builder()
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(&self.subject)
            // Without it a strict reader shows the transfer encoding, and a long link is broken.
            .header(MIME_VERSION_1_0)
            .multipart(MultiPart::alternative_plain_html(self.text(), self.html()))
            .map_err(|_| Unaddressable)
    }

    fn text(&self) -> String {
        let paragraphs: Vec<&str> = self
            .paragraphs
            .iter()
            .map(|paragraph| match paragraph {
                Paragraph::Text(text) => text.as_str(),
                Paragraph::Link { url, .. } => url.as_str(),
            })
            .collect();
        paragraphs.join("\n\n") + "\n"
    }

    fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n",
            encode_text(&self.subject)
        );
        for paragraph in &self.paragraphs {
            let paragraph = match paragraph {
                Paragraph::Text(text) => format!("<p>{}</p>\n", encode_text(text)),
                Paragraph::Link { words, url } => format!(
                    "<p><a href=\"{}\">{}</a></p>\n",
                    encode_double_quoted_attribute(url),
                    encode_text(words)
                ),
            };
            html.push_str(&paragraph);
        }
        html + "</html>\n"
    }
}

impl Paragraph {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
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

fn chrono_of(time: Duration) -> chrono::Duration {
    chrono::Duration::from_std(time).unwrap_or(chrono::Duration::MAX)
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
    fn html_says_the_same_as_text_and_nothing_of_a_name_s_own() {
        let token = SecretToken::generate();
        let (name, week) = ("<script>alert(1)</script> & Söhne", Duration::from_hours(168));
        let letter = Letter::invite(
            "https://mt.example",
            &token,
            name,
            "member",
            week,
            DateTime::UNIX_EPOCH,
        );
        let html = letter.html();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne"), "{html}");
        let href = format!("href=\"https://mt.example/invites/accept#token={}\"", token.reveal());
        assert!(html.contains(&href), "{html}");
        assert!(letter.text().contains(name), "{}", letter.text());
    }

    #[test]
    fn a_letter_ends_with_its_link() {
        let (token, ten) = (SecretToken::generate(), Duration::from_mins(10));
        let letter = Letter::magic_link("https://x", &token, ten, DateTime::UNIX_EPOCH);
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert!(!letter.has_ended(at(599)));
        assert!(letter.has_ended(at(600)));
        assert_eq!(letter.useful_for(), ten);
        let payment = Letter::payment_failed("https://x", "Acme");
        assert!(!payment.has_ended(at(i64::from(u32::MAX))));
        assert_eq!(payment.useful_for(), WEEK);
    }

    #[test]
    fn debug_shows_no_token() {
        let (token, ten) = (SecretToken::generate(), Duration::from_mins(10));
        let letter = Letter::magic_link("https://mt.example", &token, ten, DateTime::UNIX_EPOCH);
        assert!(!format!("{letter:?}").contains(token.reveal()));
    }
}
