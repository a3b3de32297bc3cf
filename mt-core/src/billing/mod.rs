//! What billing says of a tenant, in words that no payment provider owns.

mod standing;
mod status;

pub use self::standing::{Standing, StandingPolicy};
pub use self::status::SubscriptionStatus;
