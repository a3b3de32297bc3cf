//! Fetching the current state of a subscription from Stripe.
//!
//! A fetch is needed where events do not tell the state: two of one second disagree, one was cut short, or one only names
//! what changed (see [`known`](crate::known) for what an answer counts against events). A [`SubscriptionFetcher`] makes
//! it; `StripeClient` (feature `http-client`) is the one over Stripe's API. Without one, such subscriptions are flagged
//! and stay so.
//!
//! No lock and no connection to the database is held during a fetch.
//!
//! ```
//! use async_trait::async_trait;
//! use chrono::{DateTime, Utc};
//! use mt_stripe::fetch::{
//!     CustomerName, FetchError, Listed, SubscriptionFetcher, SubscriptionName,
//! };
//! use mt_stripe::known::Answer;
//! use mt_stripe::subscription::Subscription;
//!
//! /// Answers from a copy of an account, kept in memory.
//! #[derive(Debug)]
//! struct Copied { objects: Vec<serde_json::Value>, at: DateTime<Utc> }
//!
//! #[async_trait]
//! impl SubscriptionFetcher for Copied {
//!     async fn fetch(&self, name: &SubscriptionName<'_>) -> Result<Answer, FetchError> {
//!         let mut all = self.objects.iter().filter_map(Subscription::from_object);
//!         Ok(Answer { subscription: all.find(|found| found.id == name.id), at: self.at })
//!     }
//!
//!     async fn fetch_all_of(&self, customer: &CustomerName<'_>) -> Result<Vec<Listed>, FetchError> {
//!         let all = self.objects.iter().filter_map(Subscription::from_object);
//!         let theirs = all.filter(|found| found.customer.as_deref() == Some(customer.id));
//!         Ok(theirs.map(|found| Listed { livemode: false, subscription: found, at: self.at }).collect())
//!     }
//! }
//! ```

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::known::Answer;
use crate::subscription::Subscription;

#[cfg(feature = "http-client")]
mod http;

/// The name of a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubscriptionName<'n> {
    /// The connected account that it belongs to; empty for the platform's own.
    pub account: &'n str,
    /// Whether it is about real money.
    pub livemode: bool,
    /// Its identifier.
    pub id: &'n str,
}

/// The name of a customer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CustomerName<'n> {
    /// The connected account that it belongs to; empty for the platform's own.
    pub account: &'n str,
    /// Its identifier.
    pub id: &'n str,
}

/// One of a customer's subscriptions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Whether it is about real money.
    pub livemode: bool,
    /// The subscription as it was.
    pub subscription: Subscription,
    /// The time by Stripe's clock when the answer was made.
    pub at: DateTime<Utc>,
}

/// Fetches subscriptions from Stripe.
///
/// The answer must have been read after the call began: the order of answers rests on that alone. An implementation does
/// not retry: the ledger does, with its own backoff.
#[async_trait]
pub trait SubscriptionFetcher: fmt::Debug + Send + Sync {
    /// Fetches one subscription.
    ///
    /// # Errors
    ///
    /// [`FetchError`]: there is no answer.
    async fn fetch(&self, name: &SubscriptionName<'_>) -> Result<Answer, FetchError>;

    /// Fetches all subscriptions of a customer, ended ones included; none for an unknown customer.
    ///
    /// # Errors
    ///
    /// [`FetchError`]: there is no answer.
    async fn fetch_all_of(&self, customer: &CustomerName<'_>) -> Result<Vec<Listed>, FetchError>;
}

/// Why there is no answer. For logs and the ledger; no text holds a key or a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Too many requests (429), or a lock at Stripe.
    #[error("stripe asks for fewer requests")]
    RateLimited {
        /// How long Stripe asks to wait.
        retry_after: Option<Duration>,
    },
    /// Stripe refuses, now and later: the key is wrong, or lacks a permission.
    #[error("stripe answered {status} ({code})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Stripe's code of the error, or else its type.
        code: String,
        /// The type of the error, which is broader than its code.
        kind: Option<String>,
        /// Stripe's identifier of the request, for its support.
        request_id: Option<String>,
    },
    /// No answer, a broken one, or an error on Stripe's side.
    #[error("stripe could not be asked")]
    Unavailable {
        /// How long Stripe asks to wait.
        retry_after: Option<Duration>,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl FetchError {
    /// Whether a later fetch can succeed.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// How long Stripe asks to wait, if it said.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            Self::Refused { .. } => None,
        }
    }

    /// The reason, in a word for the ledger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "stripe_rate_limited",
            Self::Refused { .. } => "stripe_refused",
            Self::Unavailable { .. } => "stripe_unavailable",
        }
    }
}
