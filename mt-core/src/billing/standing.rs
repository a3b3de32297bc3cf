//! The standing of a tenant: whether it may write.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::SubscriptionStatus;

crate::text_enum! {
    /// The standing of a tenant with its payments. Only [`Lapsed`](Self::Lapsed) stops anything, and it stops writes only.
    #[non_exhaustive]
    pub enum Standing {
        /// Paid, on trial, or on a plan that costs nothing.
        Good = "good",
        /// A payment failed and is being retried; everything still works.
        Grace = "grace",
        /// Unpaid, ended or paused: the tenant can read, delete, leave and pay.
        Lapsed = "lapsed",
    }
}

/// The rule that maps a subscription status to a standing. An embedder may replace it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use chrono::DateTime;
/// use mt_core::billing::{Standing, StandingPolicy, SubscriptionStatus};
///
/// let policy = StandingPolicy::default().with_grace(Duration::from_secs(7 * 86_400));
/// let failed = DateTime::from_timestamp(1_795_000_000, 0);
/// let at = |seconds: i64| DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap();
///
/// let standing = |now| policy.standing(&SubscriptionStatus::PastDue, failed, now);
/// assert_eq!(standing(at(7 * 86_400 - 1)), Standing::Grace);
/// assert_eq!(standing(at(7 * 86_400)), Standing::Lapsed);
/// ```
#[derive(Clone, Debug)]
pub struct StandingPolicy {
    blocking: Vec<SubscriptionStatus>,
    grace: Duration,
}

impl StandingPolicy {
    /// A policy under which exactly these statuses lapse a tenant, without grace.
    #[must_use]
    pub fn blocking(statuses: impl IntoIterator<Item = SubscriptionStatus>) -> Self {
        Self { blocking: statuses.into_iter().collect(), grace: Duration::ZERO }
    }

    /// Lets a tenant write for this long after its payment became past due.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The standing of a tenant at `now`.
    ///
    /// Grace counts from `past_due_since`, the start of the present run of `past_due`; retries of
    /// the payment do not move it. Without that date there is no grace.
    #[must_use]
    pub fn standing(
        &self,
        status: &SubscriptionStatus,
        past_due_since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Standing {
        if !self.blocking.contains(status) {
            return Standing::Good;
        }
        let in_grace = *status == SubscriptionStatus::PastDue
            && past_due_since.is_some_and(|since| {
                now.signed_duration_since(since).to_std().map_or(true, |age| age < self.grace)
                    && !self.grace.is_zero()
            });
        if in_grace { Standing::Grace } else { Standing::Lapsed }
    }
}

impl Default for StandingPolicy {
    /// Blocks `past_due`, `unpaid`, `canceled` and `paused`, without grace.
    /// A tenant that never subscribed (`none`), whose first payment is outstanding (`incomplete`)
    /// or never came (`incomplete_expired`) is on the free plan and is not blocked. A status that this
    /// version does not know does not block either.
    fn default() -> Self {
        Self::blocking([
            SubscriptionStatus::PastDue,
            SubscriptionStatus::Unpaid,
            SubscriptionStatus::Canceled,
            SubscriptionStatus::Paused,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn default_table() {
        let policy = StandingPolicy::default();
        for (word, standing) in [
            ("none", Standing::Good),
            ("incomplete", Standing::Good),
            ("trialing", Standing::Good),
            ("active", Standing::Good),
            ("hibernating", Standing::Good),
            ("past_due", Standing::Lapsed),
            ("unpaid", Standing::Lapsed),
            ("canceled", Standing::Lapsed),
            ("incomplete_expired", Standing::Good),
            ("paused", Standing::Lapsed),
        ] {
            let status = SubscriptionStatus::from_word(word);
            assert_eq!(policy.standing(&status, Some(at(0)), at(1)), standing, "{word}");
        }
    }

    #[test]
    fn zero_grace_is_never_shown_even_with_a_skewed_clock() {
        let policy = StandingPolicy::default();
        let standing = policy.standing(&SubscriptionStatus::PastDue, Some(at(10)), at(0));
        assert_eq!(standing, Standing::Lapsed);
    }

    #[test]
    fn grace_needs_a_start_and_is_for_past_due_only() {
        let policy = StandingPolicy::default().with_grace(Duration::from_mins(1));
        assert_eq!(policy.standing(&SubscriptionStatus::PastDue, None, at(0)), Standing::Lapsed);
        assert_eq!(
            policy.standing(&SubscriptionStatus::Unpaid, Some(at(0)), at(1)),
            Standing::Lapsed
        );
        assert_eq!(
            policy.standing(&SubscriptionStatus::PastDue, Some(at(10)), at(0)),
            Standing::Grace
        );
    }
}
