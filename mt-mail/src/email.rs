//! An email's content, and its rendering as plain text and HTML.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use html_escape::{encode_double_quoted_attribute, encode_text};
use lettre::Address;
use lettre::message::header::MIME_VERSION_1_0;
use lettre::message::{Mailbox, Message, MultiPart};
use mt_core::email::EmailAddress;
use mt_core::pg::ledger::outbox::Lane;
use serde::{Deserialize, Serialize};

/// How long the server tries to deliver an email that has no expiry of its own.
const WEEK: Duration = Duration::from_hours(7 * 24);

/// The content of an email: a subject and paragraphs. Each template is a constructor.
///
/// `Debug` shows neither, because a link holds a token.
#[derive(Clone, Deserialize, Serialize)]
pub struct EmailMessage {
    pub(super) subject: String,
    pub(super) paragraphs: Vec<Paragraph>,
    /// When the link in it expires; `None` without one.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// How long the link in it is valid; `None` without one.
    pub(super) valid_for: Option<Duration>,
    /// Needed while the email is put into the outbox, and not afterwards.
    #[serde(skip)]
    pub(super) lane: Lane,
}

/// A paragraph of an email.
#[derive(Clone, Deserialize, Serialize)]
pub(super) enum Paragraph {
    /// Plain text.
    Text(String),
    /// A link. Plain text shows its address, HTML its label.
    Link {
        /// What HTML shows.
        label: String,
        /// The address.
        url: String,
    },
}

/// The error when lettre does not accept a recipient's address. It accepts every [`EmailAddress`], as a test shows.
#[derive(Debug)]
pub(super) struct InvalidRecipient;

impl EmailMessage {
    /// Returns how long the server tries to deliver it: while its link is valid; without a link a week, because by
    /// then Stripe has retried the payment and the owner has had a newer email, or the subscription has ended.
    pub(crate) fn retry_for(&self) -> Duration {
        self.valid_for.unwrap_or(WEEK)
    }

    /// Returns the outbox lane: urgent for a link to sign in, because a person waits for it.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns whether its link has expired.
    pub(super) fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Builds the MIME message. `id` is the same at each attempt, so that mail programs can drop duplicates.
    pub(super) fn to_message(
        &self,
        from: &Mailbox,
        to: &EmailAddress,
        id: &str,
    ) -> Result<Message, InvalidRecipient> {
        let to: Address = to.to_wire().parse().map_err(|_| InvalidRecipient)?;
        Message::builder()
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(&self.subject)
            // Without it a strict reader shows the transfer encoding, and a long link is broken.
            .header(MIME_VERSION_1_0)
            .multipart(MultiPart::alternative_plain_html(self.text(), self.html()))
            .map_err(|_| InvalidRecipient)
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
                Paragraph::Link { label, url } => format!(
                    "<p><a href=\"{}\">{}</a></p>\n",
                    encode_double_quoted_attribute(url),
                    encode_text(label)
                ),
            };
            html.push_str(&paragraph);
        }
        html + "</html>\n"
    }
}

impl Paragraph {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Debug for EmailMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailMessage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mt_core::token::SecretToken;

    use super::*;

    #[test]
    fn html_has_the_content_of_the_text_and_escapes_names() {
        let token = SecretToken::generate();
        let (name, week) = ("<script>alert(1)</script> & Söhne", Duration::from_hours(168));
        let email = EmailMessage::invite(
            "https://mt.example",
            &token,
            name,
            "member",
            week,
            DateTime::UNIX_EPOCH,
        );
        let html = email.html();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne"), "{html}");
        let href = format!("href=\"https://mt.example/invites/accept#token={}\"", token.reveal());
        assert!(html.contains(&href), "{html}");
        assert!(email.text().contains(name), "{}", email.text());
    }

    #[test]
    fn an_email_expires_with_its_link() {
        let (token, ten) = (SecretToken::generate(), Duration::from_mins(10));
        let email = EmailMessage::magic_link("https://x", &token, ten, DateTime::UNIX_EPOCH);
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert!(!email.has_expired(at(599)));
        assert!(email.has_expired(at(600)));
        assert_eq!(email.retry_for(), ten);
        let payment = EmailMessage::payment_failed("https://x", "Acme");
        assert!(!payment.has_expired(at(i64::from(u32::MAX))));
        assert_eq!(payment.retry_for(), WEEK);
    }

    #[test]
    fn debug_shows_no_token() {
        let (token, ten) = (SecretToken::generate(), Duration::from_mins(10));
        let email =
            EmailMessage::magic_link("https://mt.example", &token, ten, DateTime::UNIX_EPOCH);
        assert!(!format!("{email:?}").contains(token.reveal()));
    }
}
