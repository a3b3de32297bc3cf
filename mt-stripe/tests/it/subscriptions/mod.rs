//! Subscription state: the join of events, and refetching it from Stripe.

mod concurrent_refetch;
pub(crate) mod refetch;
mod sql_join;
