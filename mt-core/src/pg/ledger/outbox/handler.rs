//! The port through which messages leave the outbox.

use std::future::Future;
use std::sync::Arc;

use super::Message;

/// Handles messages of the outbox, for example by sending them as e-mail.
///
/// A message is leased to one attempt at a time.
pub trait Handler: Send + Sync + 'static {
    /// Makes one attempt at a message. An attempt that takes longer than the lease is dropped, and deferred.
    fn handle(&self, message: &Message) -> impl Future<Output = HandlerOutcome> + Send;
}

impl<H: Handler> Handler for Arc<H> {
    fn handle(&self, message: &Message) -> impl Future<Output = HandlerOutcome> + Send {
        H::handle(self, message)
    }
}

/// The outcome of an attempt at a message.
///
/// A `reason` is a word of the program: it begins the message's `last_error` and labels metrics. A `detail`
/// is for operators, and holds nothing of the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HandlerOutcome {
    /// The message is dead at once: an operator has to look.
    Dead(String),
    /// Something other than the message is at fault. It is tried again until it expires or, without an expiry, for as
    /// long as [`RetryPolicy::max_age`](crate::pg::ledger::RetryPolicy::max_age).
    Deferred {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line.
        detail: String,
    },
    /// The attempt failed. It is tried again up to
    /// [`RetryPolicy::max_attempts`](crate::pg::ledger::RetryPolicy::max_attempts).
    Failed(String),
    /// The recipient refuses the message for good.
    Refused {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a line.
        detail: String,
    },
    /// The message was sent.
    Sent,
    /// The message has no recipient, and why, in a word.
    Skipped(&'static str),
}

impl HandlerOutcome {
    /// The outcome and the reason as metrics show them.
    pub(super) fn labels(&self) -> (&'static str, &'static str) {
        match self {
            Self::Dead(_) => ("dead", "undelivered"),
            Self::Deferred { reason, .. } => ("deferred", reason),
            Self::Failed(_) => ("failed", "undelivered"),
            Self::Refused { reason, .. } => ("dead", reason),
            Self::Sent => ("sent", "none"),
            Self::Skipped(reason) => ("skipped", reason),
        }
    }
}
