//! Billing in Postgres: the port that payment providers plug into.
//!
//! An adapter, such as `mt-stripe`, is a [`Provider`](super::ledger::Provider) of the ledger that parses its provider's
//! events, orders them, and stores what they say in `mt.subscriptions` and `mt.invoices`. As a [`BillingProvider`] it
//! reads that back as [`Purchases`](crate::billing::Purchases). Everything else is here and the same for each provider:
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Customer::project`](super::ledger::Customer::project), [`reproject()`] | writes what a tenant has paid for to `mt.tenants` |
//! | [`customer_of`], [`link()`], [`wake`], [`forget`] | the link between a tenant and its customer |
//! | [`checkout`] | Checkout sessions that this server made, and the links that they claim |
//! | [`remind`] | a message to the tenant's owners about a failed payment |
//! | [`owners`] | who they are, and their addresses |
//! | [`departed`] | customers of deleted tenants, whose subscriptions are to be canceled |
//! | [`call`] | idempotency keys of calls to the provider |
//! | [`flagged`] | tenants whose billing an operator should look at |
//!
//! Locks are taken in one order: the row of the event, the customer, the tenant, and then the rows of both.

mod audit;
pub mod call;
pub mod checkout;
mod customer;
pub mod departed;
mod dunning;
pub mod flagged;
mod link;
pub mod owners;
mod project;
mod provider;
mod reproject;
mod subscription;

pub use self::audit::ACTIONS;
pub use self::customer::{FormerCustomer, hold_tenant};
pub use self::dunning::{DUNNING, remind};
pub use self::link::{LinkError, customer_of, forget, link, wake};
pub use self::provider::BillingProvider;
pub use self::reproject::reproject;
pub use self::subscription::Subscription;
