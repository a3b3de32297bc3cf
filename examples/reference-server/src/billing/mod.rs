//! The server's billing: the settings of [`mt_stripe::billing`].

mod settings;

pub use self::settings::{BillingSettingsError, billing};
pub(crate) use self::settings::{billing_url, client};

/// The warning of a production server without a key for Stripe.
pub(crate) const NO_STRIPE_KEY: &str = "STRIPE_SECRET_KEY is not set: orgs cannot buy, and billing calls answer `billing-misconfigured`";
