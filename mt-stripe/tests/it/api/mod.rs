//! The client of the Stripe API.

mod http_client;
