//! The templates of the emails that the server sends.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::outbox::Lane;
use mt_core::token::SecretToken;

use super::email::{EmailMessage, Paragraph};
use super::org_name;

impl EmailMessage {
    /// A link to sign in. `base_url` is the setting `BASE_URL`, never the host of a request.
    #[must_use]
    pub fn magic_link(
        base_url: &str,
        token: &SecretToken,
        valid_for: Duration,
        now: DateTime<Utc>,
    ) -> Self {
        let url = link(base_url, "/auth/magic", token);
        let period = humanize(valid_for);
        Self {
            subject: "Your link to sign in".to_owned(),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::text("open this link to sign in:"),
                Paragraph::Link { label: "Sign in".to_owned(), url },
                Paragraph::Text(format!(
                    "It works once, within {period}. If you did not ask for it, ignore this mail: \
                     without the link it is not possible to sign in."
                )),
            ],
            expires_at: now.checked_add_signed(chrono_duration(valid_for)),
            valid_for: Some(valid_for),
            lane: Lane::Urgent,
        }
    }

    /// An invitation to join the org called `org` as `role`.
    ///
    /// A long name is shortened, and one that looks like an address is changed so that mail programs make no link of
    /// it.
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
        let (org, period) = (org_name::sanitize(org), humanize(valid_for));
        Self {
            subject: format!("You are invited to join {org}"),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::Text(format!(
                    "you are invited to join “{org}” as {role}. Sign in with this address, then accept:"
                )),
                Paragraph::Link { label: "Accept the invitation".to_owned(), url },
                Paragraph::Text(format!(
                    "The invitation is for this address only and ends after {period}. If you do not \
                     know who sent it, ignore this mail."
                )),
            ],
            expires_at: now.checked_add_signed(chrono_duration(valid_for)),
            valid_for: Some(valid_for),
            lane: Lane::Main,
        }
    }

    /// A notice to an owner that a payment of the org called `org` has failed. `page` is the org's billing page.
    #[must_use]
    pub fn payment_failed(page: &str, org: &str) -> Self {
        let org = org_name::sanitize(org);
        Self {
            subject: format!("A payment for {org} has failed"),
            paragraphs: vec![
                Paragraph::text("Hello,"),
                Paragraph::Text(format!(
                    "the last payment for “{org}” did not go through. Until it does, everything there \
                     can be read, and nothing changed. You can settle it, or change how you pay, under \
                     billing:"
                )),
                Paragraph::Link { label: "To billing".to_owned(), url: page.to_owned() },
                Paragraph::Text(format!("You get this mail because you are an owner of “{org}”.")),
            ],
            expires_at: None,
            valid_for: None,
            lane: Lane::Main,
        }
    }
}

fn link(base_url: &str, path: &str, token: &SecretToken) -> String {
    format!("{}{path}#token={}", base_url.trim_end_matches('/'), token.reveal())
}

fn chrono_duration(time: Duration) -> chrono::Duration {
    chrono::Duration::from_std(time).unwrap_or(chrono::Duration::MAX)
}

/// Returns a duration in words (`10 minutes`, `7 days`), in the largest unit that leaves no remainder.
fn humanize(time: Duration) -> String {
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
    fn durations_are_shown_in_whole_units() {
        for (seconds, words) in [
            (600, "10 minutes"),
            (604_800, "7 days"),
            (3600, "1 hour"),
            (90, "90 seconds"),
            (86_400, "1 day"),
        ] {
            assert_eq!(humanize(Duration::from_secs(seconds)), words);
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
}
