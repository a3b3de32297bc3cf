//! Tenancy, access control and billing standing for Rust services.
//!
//! Start at [`access`]: it explains how a request earns a [`access::Grant`], the value that every
//! tenant-scoped database call asks for.
//!
//! | module | holds |
//! | --- | --- |
//! | [`access`] | roles × permissions × plans → `Access` → `Grant` |
//! | [`auth`] | who is calling: `Authenticator`, JSON Web Tokens (feature `jwt`) |
//! | [`billing`] | subscription status, standing, grace |
//! | [`limit`] | rate limits: in the process, or shared through Redis (features `redis`, `redis-cluster`) |
//! | `pg` | Postgres: tenant transactions, members, invites, the audit log, the webhook ledger (feature `postgres`) |
//! | [`roster`] | who may hand out, change and take away which role |
//!
//! The crate knows no HTTP, no `tower` and no framework. Time is an argument wherever a decision
//! depends on it; clocks that decide expiry are the database's.

pub mod access;
pub mod auth;
pub mod billing;
pub mod clock;
pub mod email;
pub mod id;
pub mod limit;
#[cfg(feature = "postgres")]
pub mod pg;
#[cfg(feature = "redis")]
pub mod redis;
pub mod roster;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod word;
