//! The actions of billing in the audit log of a tenant.

use crate::pg::audit_log::Action;

/// A customer was linked to the tenant.
pub(super) const CUSTOMER_LINKED: Action = Action::new("billing.customer_linked", "tenant");
/// A customer was unlinked: another tenant claims it too, or the provider has deleted it.
pub(super) const CUSTOMER_UNLINKED: Action = Action::new("billing.customer_unlinked", "tenant");
/// A Checkout session was completed.
pub(super) const CHECKOUT_COMPLETED: Action = Action::new("billing.checkout_completed", "tenant");
/// A Checkout session was made.
pub(super) const CHECKOUT_STARTED: Action = Action::new("billing.checkout_started", "tenant");
/// The tenant's plan or the status of its subscription changed.
pub(super) const SUBSCRIPTION_CHANGED: Action =
    Action::new("billing.subscription_changed", "tenant");

/// All actions of billing.
pub const ACTIONS: &[Action] = &[
    CHECKOUT_COMPLETED,
    CHECKOUT_STARTED,
    CUSTOMER_LINKED,
    CUSTOMER_UNLINKED,
    SUBSCRIPTION_CHANGED,
];
