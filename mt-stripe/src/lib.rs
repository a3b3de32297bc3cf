//! Stripe for multi-tenant services: an adapter of the webhook ledger and of billing in `mt-core`.
//!
//! ```text
//! bytes ─ signature::Verifier ─→ VerifiedEvent ─ Ledger<Stripe>::receive ─→ one fenced transaction:
//!     order::SubscriptionState (join) ─→ known::KnownSubscription ─→ mt_core::billing::project ─→ mt.tenants
//! ```
//!
//! | module | purpose |
//! | --- | --- |
//! | [`signature`] | verifies deliveries: the raw bytes, several secrets, a time window |
//! | [`event`] | reads an event, in whichever API version it was rendered |
//! | [`subscription`], [`invoice`], [`checkout_session`] | the objects that events are about |
//! | [`order`] | the order of events: which of many snapshots is the current one |
//! | [`known`] | what an answer of Stripe counts against events, and against other answers |
//! | [`fetch`], [`refetch`] | fetches a subscription where events do not tell its state, and stores the answer |
//! | [`reconcile`] | compares every tenant with Stripe, for example each night |
//! | [`operations`] | lists and shows stored events, for operators |
//! | `client` | calls Stripe's HTTP API (feature `http-client`) |
//! | `billing` | what a service's routes and jobs call: deliveries, customers, payment pages (feature `http-client`) |
//!
//! [`Stripe`] puts them together as a provider. What does not depend on Stripe is in `mt-core`: the ledger in
//! [`mt_core::pg::ledger`]; prices, the projection onto tenants, links and dunning in [`mt_core::billing`] and
//! [`mt_core::pg::billing`].
//!
//! Everything that decides is a pure function, with time as an argument. Only [`refetch`], [`reconcile`], [`operations`],
//! `billing` and the provider run SQL; only a [`fetch::SubscriptionFetcher`] and `billing` call Stripe.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "http-client")]
pub mod billing;
pub mod checkout_session;
#[cfg(feature = "http-client")]
pub mod client;
pub mod event;
pub mod fetch;
pub mod invoice;
mod json;
pub mod known;
pub mod operations;
pub mod order;
pub mod reconcile;
pub mod refetch;
pub mod signature;
mod snapshot;
mod state;
mod stripe;
pub mod subscription;
mod verified;

pub use self::stripe::{Stripe, StripeConfig};
pub use self::verified::VerifiedEvent;

/// Stripe's name in the ledger and in the tables of billing.
pub const PROVIDER: &str = "stripe";

/// The API version in which Stripe renders answers to this crate. Any would do; a pinned one does not change by itself.
pub const API_VERSION: &str = "2026-10-28.endive";
