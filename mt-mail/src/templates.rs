//! The texts of the emails that the library sends.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::EmailMessage;
use crate::mailer::Mailer;
use crate::tenant_name::sanitize;

/// The texts of emails. Each method has an English text by default, so a service replaces those that it wants.
///
/// See [`Mailer::with_templates`]. A template sets the validity of its link ([`EmailMessage::valid_for`]), by which a
/// delivery is retried, and the sign-in mail is [urgent](EmailMessage::urgent).
pub trait Templates: Send + Sync + 'static {
    /// Returns the email with a link to sign in.
    fn sign_in(&self, mail: &SignInMail<'_>) -> EmailMessage {
        let period = humanize(mail.valid_for);
        EmailMessage::new("Your link to sign in")
            .text("Hello,")
            .text("open this link to sign in:")
            .link("Sign in", mail.url)
            .text(format!(
                "It works once, within {period}. If you did not ask for it, ignore this mail: \
                 without the link it is not possible to sign in."
            ))
            .valid_for(mail.valid_for, mail.now)
            .urgent()
    }

    /// Returns the email with an invitation to join a tenant.
    fn invite(&self, mail: &InviteMail<'_>) -> EmailMessage {
        let (tenant, role, period) = (mail.tenant, mail.role, humanize(mail.valid_for));
        EmailMessage::new(format!("You are invited to join {tenant}"))
            .text("Hello,")
            .text(format!(
                "you are invited to join “{tenant}” as {role}. Sign in with this address, then accept:"
            ))
            .link("Accept the invitation", mail.url)
            .text(format!(
                "The invitation is for this address only and ends after {period}. If you do not \
                 know who sent it, ignore this mail."
            ))
            .valid_for(mail.valid_for, mail.now)
    }

    /// Returns the notice to an owner that a payment of a tenant has failed.
    fn payment_failed(&self, mail: &PaymentFailedMail<'_>) -> EmailMessage {
        let tenant = mail.tenant;
        EmailMessage::new(format!("A payment for {tenant} has failed"))
            .text("Hello,")
            .text(format!(
                "the last payment for “{tenant}” did not go through. Until it does, everything there \
                 can be read, and nothing changed. You can settle it, or change how you pay, under \
                 billing:"
            ))
            .link("To billing", mail.billing_url)
            .text(format!("You get this mail because you are an owner of “{tenant}”."))
    }
}

/// The library's English texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct English;

impl Templates for English {}

/// The input of the template of the sign-in mail. `Debug` does not show the link, which holds a token.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SignInMail<'m> {
    /// The link.
    pub url: &'m str,
    /// How long the link is valid.
    pub valid_for: Duration,
    /// The present time.
    pub now: DateTime<Utc>,
}

/// The input of the template of an invite. `Debug` does not show the link, which holds a token.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct InviteMail<'m> {
    /// The link.
    pub url: &'m str,
    /// The tenant's name: at most 60 characters, in which no mail program finds an address.
    pub tenant: &'m str,
    /// The text of the role.
    pub role: &'m str,
    /// How long the invite is valid.
    pub valid_for: Duration,
    /// The present time.
    pub now: DateTime<Utc>,
}

/// The input of the template of the notice of a failed payment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PaymentFailedMail<'m> {
    /// The URL of the tenant's billing page.
    pub billing_url: &'m str,
    /// The tenant's name: at most 60 characters, in which no mail program finds an address.
    pub tenant: &'m str,
}

impl fmt::Debug for SignInMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInMail").finish_non_exhaustive()
    }
}

impl fmt::Debug for InviteMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteMail")
            .field("tenant", &self.tenant)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Mailer {
    /// Returns the email with the link `url` to sign in, by the mailer's [templates](Templates).
    #[must_use]
    pub fn sign_in(&self, url: &str, valid_for: Duration, now: DateTime<Utc>) -> EmailMessage {
        self.templates().sign_in(&SignInMail { url, valid_for, now })
    }

    /// Returns the email with the link `url` to join the tenant called `tenant` as `role`, by the mailer's
    /// [templates](Templates).
    ///
    /// A long name is shortened, and one that looks like an address is changed so that mail programs make no link of
    /// it.
    #[must_use]
    pub fn invite(
        &self,
        url: &str,
        tenant: &str,
        role: &str,
        valid_for: Duration,
        now: DateTime<Utc>,
    ) -> EmailMessage {
        let tenant = &sanitize(tenant);
        self.templates().invite(&InviteMail { url, tenant, role, valid_for, now })
    }

    /// Returns the notice to an owner that a payment of the tenant called `tenant` has failed, by the mailer's
    /// [templates](Templates). The name is changed as in an [invite](Self::invite).
    #[must_use]
    pub fn payment_failed(&self, billing_url: &str, tenant: &str) -> EmailMessage {
        let tenant = &sanitize(tenant);
        self.templates().payment_failed(&PaymentFailedMail { billing_url, tenant })
    }
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

    const TEN: Duration = Duration::from_mins(10);

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
    fn english_texts_are_complete() {
        let (mailer, now) = (Mailer::none(), DateTime::UNIX_EPOCH);
        for (email, text) in [
            (
                mailer.sign_in("https://x/1", TEN, now),
                "Hello,\n\nopen this link to sign in:\n\nhttps://x/1\n\nIt works once, within 10 minutes. \
                 If you did not ask for it, ignore this mail: without the link it is not possible to \
                 sign in.\n",
            ),
            (
                mailer.invite("https://x/2", "Acme", "member", TEN, now),
                "Hello,\n\nyou are invited to join “Acme” as member. Sign in with this address, then \
                 accept:\n\nhttps://x/2\n\nThe invitation is for this address only and ends after 10 \
                 minutes. If you do not know who sent it, ignore this mail.\n",
            ),
            (
                mailer.payment_failed("https://x/3", "Acme"),
                "Hello,\n\nthe last payment for “Acme” did not go through. Until it does, everything \
                 there can be read, and nothing changed. You can settle it, or change how you pay, \
                 under billing:\n\nhttps://x/3\n\nYou get this mail because you are an owner of \
                 “Acme”.\n",
            ),
        ] {
            assert_eq!(email.plain_text(), text);
        }
    }

    struct OwnInvite;

    impl Templates for OwnInvite {
        fn invite(&self, mail: &InviteMail<'_>) -> EmailMessage {
            EmailMessage::new(format!("{} calls", mail.tenant)).link("Come in", mail.url)
        }
    }

    #[test]
    fn service_replaces_one_template_and_keeps_the_others() {
        let now = DateTime::UNIX_EPOCH;
        let (plain, own) = (Mailer::none(), Mailer::none().with_templates(OwnInvite));
        let subjects = |mailer: &Mailer| {
            [
                mailer.sign_in("https://x", TEN, now),
                mailer.invite("https://x", "www.evil.example", "member", TEN, now),
                mailer.payment_failed("https://x", "Acme"),
            ]
            .map(|email| email.subject().to_owned())
        };
        assert_eq!(
            subjects(&plain),
            [
                "Your link to sign in",
                "You are invited to join www·evil·example",
                "A payment for Acme has failed"
            ]
        );
        assert_eq!(
            subjects(&own),
            ["Your link to sign in", "www·evil·example calls", "A payment for Acme has failed"]
        );
    }
}
