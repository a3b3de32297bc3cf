//! The customers that pay for tenants.

use mt_core::id::TenantId;
use serde::Deserialize;

use crate::client::StripeRequest;

/// A customer that Stripe has made.
#[derive(Debug, Deserialize)]
pub(super) struct MadeCustomer {
    /// Its identifier.
    pub(super) id: String,
}

/// A customer as Stripe shows it.
#[derive(Debug, Deserialize)]
pub(super) struct ShownCustomer {
    /// Whether it was deleted.
    #[serde(default)]
    pub(super) deleted: bool,
}

/// The request that makes the customer of `tenant`, whose metadata names the tenant under `key`.
pub(super) fn request(tenant: TenantId, key: &str) -> StripeRequest {
    let metadata = format!("metadata[{key}]");
    StripeRequest::new("customer", &["customers"], &[(&metadata, &tenant.to_string())])
}

/// The simulated customer of `tenant`.
pub(super) fn simulated(tenant: TenantId) -> String {
    format!("cus_dev_{}", tenant.as_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_customer_is_named_after_its_tenant() {
        let tenant = TenantId::generate();
        assert_eq!(simulated(tenant), format!("cus_dev_{}", tenant.as_uuid().simple()));
    }

    /// The bytes of a request are part of its idempotency key.
    #[test]
    fn the_metadata_of_a_customer_names_its_tenant() {
        let tenant = TenantId::generate();
        let text = request(tenant, "org_id").text();
        assert_eq!(text, format!("customers?metadata%5Borg_id%5D={tenant}"));
    }
}
