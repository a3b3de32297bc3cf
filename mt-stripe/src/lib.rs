//! Stripe webhooks that are neither lost nor applied twice nor out of order.
//!
//! ```text
//! bytes ─ signature::Verifier ─→ event::Event ─ Processor::receive ─→ ledger ─→ one fenced transaction:
//!     order::SubscriptionState (join) ─→ projection::project ─→ mt.tenants
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`signature`] | is it from Stripe: the raw bytes, several secrets, a window of time |
//! | [`event`] | what it says, in whichever API version it was rendered |
//! | [`subscription`], [`invoice`] | the two objects that events are about, and what their events come to |
//! | [`order`] | which of many snapshots to believe, whatever order they came in |
//! | [`known`] | what an answer of Stripe's counts against events, and against other answers |
//! | [`projection`] | what a tenant has paid for, as a pure function of all of it |
//! | [`claim`] | who may say which customer pays for which tenant |
//! | [`checkout`] | the sessions that this server made, and their claims |
//! | [`processor`] | the ledger's transactions: receive, apply, replay, retry |
//! | [`call`] | idempotency keys of calls that change something at Stripe |
//! | [`departed`] | customers of deleted tenants, whose subscriptions are to be canceled |
//! | [`link`] | which customer pays for which tenant |
//! | [`fetch`], [`refetch`] | asking Stripe where events cannot tell, and writing down the answer |
//! | [`flagged`] | the tenants whose billing an operator should look at |
//! | [`reconcile`] | comparing every tenant with Stripe, each night for instance |
//! | [`audit`] | what is recorded in the log of a tenant |
//! | [`reproject`](mod@reproject) | projecting tenants again when the price table has changed |
//!
//! Everything that decides is pure, with time as an argument. [`processor`], [`link`], [`checkout`], [`call`],
//! [`refetch`], [`reconcile`] and [`reproject`](mod@reproject) are what says SQL; only a [`fetch::SubscriptionFetcher`] calls Stripe,
//! and without one nothing does.

pub mod audit;
pub mod call;
pub mod checkout;
pub mod claim;
pub mod departed;
pub mod event;
pub mod fetch;
pub mod flagged;
pub mod invoice;
mod json;
pub mod known;
pub mod link;
pub mod order;
pub mod processor;
pub mod projection;
pub mod reconcile;
pub mod refetch;
pub mod reproject;
pub mod signature;
mod state;
pub mod subscription;

/// What the ledger calls Stripe.
pub const PROVIDER: &str = "stripe";
