//! Errors of calls on behalf of a tenant.

use mt_core::id::TenantId;
use mt_core::pg::billing::LinkError;
use mt_core::pg::{BeginError, PgError};

use crate::client::{Refusal, StripeError};

/// Why a tenant got no customer and no page. Nothing of it is logged: log it where it becomes a response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BillingError {
    /// The tenant has a paid plan already. Send the caller to the portal, which changes the subscription.
    #[error("tenant {0} has a paid plan")]
    AlreadySubscribed(TenantId),
    /// There is neither a client for Stripe nor a simulation. An operator has to set a key.
    #[error("stripe has no key")]
    NoKey,
    /// Stripe refuses the call and would refuse it again: a wrong key, a wrong price, no portal. An operator has to
    /// correct the settings.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Stripe refuses a page for this customer of a paying tenant, and yet shows the customer. An operator has to look at
    /// the customer and at the account of the key.
    #[error("stripe shows customer {0} and refuses it for a page")]
    CustomerRefused(String),
    /// Stripe gave no answer, or failed. Try again later.
    #[error(transparent)]
    Unavailable(StripeError),
    /// The customer was not linked to the tenant.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The caller may not manage the tenant's billing, or no transaction was opened.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// Postgres failed, or cannot be reached. Try again.
    #[error(transparent)]
    Pg(#[from] PgError),
}

impl BillingError {
    /// The failure of a call to Stripe.
    pub(super) fn of_call(error: StripeError) -> Self {
        match error.lasting().cloned() {
            Some(refusal) => Self::Refused(Box::new(refusal)),
            None => Self::Unavailable(error),
        }
    }
}
