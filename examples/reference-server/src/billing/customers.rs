//! The customers that pay for orgs.

use mt_core::id::TenantId;
use serde::Deserialize;

use super::stripe_api::StripeRequest;

/// A customer that Stripe has made.
#[derive(Debug, Deserialize)]
pub(crate) struct MadeCustomer {
    /// Its identifier.
    pub(crate) id: String,
}

/// A customer as Stripe shows it when it is asked for one.
#[derive(Debug, Deserialize)]
pub(crate) struct ShownCustomer {
    /// Whether it was deleted.
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// What makes the customer of `org`.
pub(super) fn request(org: TenantId) -> StripeRequest {
    StripeRequest::new("customer", &["customers"], &[("metadata[org_id]", &org.to_string())])
}

/// The customer of `org` where there is no key.
pub(super) fn simulated(org: TenantId) -> String {
    format!("cus_dev_{}", org.as_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_the_name_is_the_orgs() {
        let org = TenantId::generate();
        assert_eq!(simulated(org), format!("cus_dev_{}", org.as_uuid().simple()));
    }
}
