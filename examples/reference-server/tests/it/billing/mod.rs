//! Billing: checkout, errors of Stripe, and servers without a Stripe key.

mod checkout;
mod stripe_errors;
mod without_stripe;
