//! Webhooks of Stripe: delivery, headers, and servers that are killed.

mod crash_recovery;
mod delivery;
mod headers;
