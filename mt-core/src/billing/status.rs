//! The status of a subscription.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The status of a tenant's subscription.
///
/// A provider may add a status at any time, so an unknown one is kept as it is ([`Other`](Self::Other)) and is never an
/// error. An adapter maps its provider's words to these.
///
/// ```
/// use mt_core::billing::SubscriptionStatus;
///
/// assert_eq!(SubscriptionStatus::from_word("past_due"), SubscriptionStatus::PastDue);
/// assert_eq!(SubscriptionStatus::from_word("hibernating").as_str(), "hibernating");
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum SubscriptionStatus {
    /// Paid for.
    Active,
    /// The subscription has ended.
    Canceled,
    /// The first payment is outstanding.
    Incomplete,
    /// The first payment never came.
    IncompleteExpired,
    /// The tenant never subscribed.
    #[default]
    None,
    /// A status of the provider that this version does not know.
    Other(Box<str>),
    /// A renewal failed and is being retried.
    PastDue,
    /// Paused by the provider or the customer.
    Paused,
    /// On trial.
    Trialing,
    /// All retries failed.
    Unpaid,
}

impl SubscriptionStatus {
    /// Parses the word that is stored and shown.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "canceled" => Self::Canceled,
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "none" => Self::None,
            "past_due" => Self::PastDue,
            "paused" => Self::Paused,
            "trialing" => Self::Trialing,
            "unpaid" => Self::Unpaid,
            other => Self::Other(other.into()),
        }
    }

    /// Whether the subscription has ended for good: it was canceled, or its first payment never came.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// The word, as stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Canceled => "canceled",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::None => "none",
            Self::Other(word) => word,
            Self::PastDue => "past_due",
            Self::Paused => "paused",
            Self::Trialing => "trialing",
            Self::Unpaid => "unpaid",
        }
    }
}

impl fmt::Display for SubscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SubscriptionStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SubscriptionStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(Self::from_word(&word))
    }
}
