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

/// How long the outbox tries to deliver an email that has no expiry of its own.
const WEEK: Duration = Duration::from_hours(7 * 24);

/// The content of an email: a subject and paragraphs, sent as plain text and as HTML.
///
/// `Debug` shows neither, because a link holds a token. The serialised form is that of the outbox.
///
/// ```
/// use mt_mail::EmailMessage;
///
/// let email = EmailMessage::new("Your export is ready")
///     .text("Hello,")
///     .text("it can be downloaded here:")
///     .link("Download the export", "https://notes.example/exports/1");
/// assert_eq!(
///     email.plain_text(),
///     "Hello,\n\nit can be downloaded here:\n\nhttps://notes.example/exports/1\n",
/// );
/// ```
#[derive(Clone, Deserialize, Serialize)]
pub struct EmailMessage {
    subject: String,
    paragraphs: Vec<Paragraph>,
    /// When the link in it expires; `None` without one.
    expires_at: Option<DateTime<Utc>>,
    /// How long the link in it is valid; `None` without one.
    valid_for: Option<Duration>,
    /// The language of the HTML; `None` for English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Needed while the email is put into the outbox, and not afterwards.
    #[serde(skip)]
    lane: Lane,
}

/// A paragraph of an email.
#[derive(Clone, Deserialize, Serialize)]
enum Paragraph {
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
pub(crate) struct InvalidRecipient;

impl EmailMessage {
    /// Creates an email without paragraphs, in English. Control characters in the subject become spaces.
    #[must_use]
    pub fn new(subject: impl AsRef<str>) -> Self {
        let shown = |char: char| if char.is_control() { ' ' } else { char };
        Self {
            subject: subject.as_ref().chars().map(shown).collect(),
            paragraphs: Vec::new(),
            expires_at: None,
            valid_for: None,
            language: None,
            lane: Lane::Main,
        }
    }

    /// Adds a paragraph of plain text. It is escaped in HTML.
    ///
    /// Mail programs turn addresses in it into links, so take care with text that users choose.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.paragraphs.push(Paragraph::Text(text.into()));
        self
    }

    /// Adds a link. Plain text shows its address, HTML its label.
    #[must_use]
    pub fn link(mut self, label: impl Into<String>, url: impl Into<String>) -> Self {
        self.paragraphs.push(Paragraph::Link { label: label.into(), url: url.into() });
        self
    }

    /// Sets how long the link in the email is valid, from `now` on. The email is not delivered later.
    #[must_use]
    pub fn valid_for(mut self, time: Duration, now: DateTime<Utc>) -> Self {
        let time_delta = chrono::Duration::from_std(time).unwrap_or(chrono::Duration::MAX);
        self.expires_at = now.checked_add_signed(time_delta);
        self.valid_for = Some(time);
        self
    }

    /// Puts the email into the urgent [lane](Lane): for links to sign in, because a person waits for them.
    #[must_use]
    pub const fn urgent(mut self) -> Self {
        self.lane = Lane::Urgent;
        self
    }

    /// Sets the language, as a tag such as `de`. Without it, the language is English.
    #[must_use]
    pub fn language(mut self, tag: impl Into<String>) -> Self {
        self.language = Some(tag.into());
        self
    }

    /// Returns the subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns how long the outbox tries to deliver it: while its link is valid; without a link a week, because by
    /// then a failed payment was retried and the owner has had a newer email, or the subscription has ended.
    pub(crate) fn retry_for(&self) -> Duration {
        self.valid_for.unwrap_or(WEEK)
    }

    /// Returns the outbox lane, whose dispatchers to [wake up](crate::Mailer::wake_up) after the commit.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns whether its link has expired.
    pub(crate) fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Builds the MIME message. `id` is the same at each attempt, so that mail programs can drop duplicates.
    pub(crate) fn to_message(
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
            .multipart(MultiPart::alternative_plain_html(self.plain_text(), self.html()))
            .map_err(|_| InvalidRecipient)
    }

    /// Returns the paragraphs as plain text.
    #[must_use]
    pub fn plain_text(&self) -> String {
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

    /// Returns the email as an HTML page.
    #[must_use]
    pub fn html(&self) -> String {
        let language = self.language.as_deref().unwrap_or("en");
        let mut html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n",
            encode_double_quoted_attribute(language),
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

impl fmt::Debug for EmailMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailMessage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mt_core::token::SecretToken;

    use super::*;
    use crate::{Mailer, token_link};

    const TEN: Duration = Duration::from_mins(10);

    fn sign_in(token: &SecretToken) -> EmailMessage {
        let url = token_link("https://mt.example", "/auth/magic", token);
        Mailer::none().sign_in(&url, TEN, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn html_has_the_content_of_the_text_and_escapes_names() {
        let token = SecretToken::generate();
        let (name, week) = ("<script>alert(1)</script> & Söhne", Duration::from_hours(168));
        let url = token_link("https://mt.example", "/invites/accept", &token);
        let email = Mailer::none().invite(&url, name, "member", week, DateTime::UNIX_EPOCH);
        let html = email.html();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne"), "{html}");
        let href = format!("href=\"https://mt.example/invites/accept#token={}\"", token.reveal());
        assert!(html.contains(&href), "{html}");
        assert!(email.plain_text().contains(name), "{}", email.plain_text());
    }

    #[test]
    fn an_email_expires_with_its_link() {
        let email = sign_in(&SecretToken::generate());
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert!(!email.has_expired(at(599)));
        assert!(email.has_expired(at(600)));
        assert_eq!(email.retry_for(), TEN);
        let payment = Mailer::none().payment_failed("https://x", "Acme");
        assert!(!payment.has_expired(at(i64::from(u32::MAX))));
        assert_eq!(payment.retry_for(), WEEK);
    }

    #[test]
    fn debug_shows_no_token() {
        let token = SecretToken::generate();
        assert!(!format!("{:?}", sign_in(&token)).contains(token.reveal()));
    }

    /// Versions of a service that run side by side read each other's outbox.
    #[test]
    fn serialised_form_is_that_of_the_outbox() {
        let email = EmailMessage::new("A").text("b").link("C", "https://d");
        let stored = r#"{"subject":"A","paragraphs":[{"Text":"b"},{"Link":{"label":"C","url":"https://d"}}],"expires_at":null,"valid_for":null}"#;
        assert_eq!(serde_json::to_string(&email).unwrap(), stored);
        let email = email.valid_for(TEN, DateTime::UNIX_EPOCH).language("de").urgent();
        let json = serde_json::to_value(&email).unwrap();
        assert_eq!(json["expires_at"], "1970-01-01T00:10:00Z");
        assert_eq!(json["valid_for"], serde_json::json!({"secs": 600, "nanos": 0}));
        assert!(json.get("lane").is_none());
        let read: EmailMessage = serde_json::from_value(json).unwrap();
        assert!(read.html().contains("<html lang=\"de\">"), "{}", read.html());
        let read: EmailMessage = serde_json::from_str(stored).unwrap();
        assert!(read.html().contains("<html lang=\"en\">"), "{}", read.html());
    }

    #[test]
    fn subject_is_one_line() {
        let email = EmailMessage::new("Acme\r\nBcc: eve@example.org");
        assert_eq!(email.subject(), "Acme  Bcc: eve@example.org");
    }
}
