//! The customers that pay for orgs.

use mt_core::id::TenantId;
use mt_stripe::client::StripeRequest;
use serde::Deserialize;

/// A customer that Stripe has made.
#[derive(Debug, Deserialize)]
pub(crate) struct MadeCustomer {
    /// Its identifier.
    pub(crate) id: String,
}

/// A customer as Stripe shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct ShownCustomer {
    /// Whether it was deleted.
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// The request that makes the customer of `org`.
pub(super) fn request(org: TenantId) -> StripeRequest {
    StripeRequest::new("customer", &["customers"], &[("metadata[org_id]", &org.to_string())])
}

/// The simulated customer of `org`.
pub(super) fn simulated(org: TenantId) -> String {
    format!("cus_dev_{}", org.as_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_customer_is_named_after_its_org() {
        let org = TenantId::generate();
        assert_eq!(simulated(org), format!("cus_dev_{}", org.as_uuid().simple()));
    }
}
