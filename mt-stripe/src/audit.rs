//! What Stripe's part records in the log of a tenant.

use mt_core::pg::audit_log::Action;

/// A customer pays for the tenant from here on.
pub const CUSTOMER_LINKED: Action = Action::new("billing.customer_linked", "tenant");
/// A customer pays for it no more: another tenant claims the customer too, or Stripe has deleted it.
pub const CUSTOMER_UNLINKED: Action = Action::new("billing.customer_unlinked", "tenant");
/// Somebody has paid where they were sent.
pub const CHECKOUT_COMPLETED: Action = Action::new("billing.checkout_completed", "tenant");
/// Somebody was sent to pay.
pub const CHECKOUT_STARTED: Action = Action::new("billing.checkout_started", "tenant");
/// The tenant's plan or the status of its subscription is another.
pub const SUBSCRIPTION_CHANGED: Action = Action::new("billing.subscription_changed", "tenant");

/// All of them.
pub const ACTIONS: &[Action] = &[
    CHECKOUT_COMPLETED,
    CHECKOUT_STARTED,
    CUSTOMER_LINKED,
    CUSTOMER_UNLINKED,
    SUBSCRIPTION_CHANGED,
];
