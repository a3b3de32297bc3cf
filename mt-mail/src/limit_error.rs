//! The error when an email may not be sent.

use mt_core::limit::{Decision, NotCounted, Quota};

/// A limit that an email would exceed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitReached {
    /// The limit's name, as in `RateLimit-Policy` and metrics.
    pub name: &'static str,
    /// The quota.
    pub quota: Quota,
    /// The decision, which says when the next email is allowed.
    pub decision: Decision,
}

/// The error when an email may not be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MailLimitError {
    /// A limit is reached. Try again later: in HTTP a response with the status 429, which names the limit.
    #[error("the limit `{}` is reached", .0.name)]
    Reached(LimitReached),
    /// The limiter cannot count and is configured to refuse. Try again later: in HTTP the status 503.
    #[error("the rate limiter cannot count emails at present")]
    NotCounted,
}

impl From<NotCounted> for MailLimitError {
    fn from(NotCounted: NotCounted) -> Self {
        Self::NotCounted
    }
}
