//! Access decisions, tenant transactions on Postgres, rate limits and a webhook ledger for multi-tenant services.
//!
//! Start at [`access`]. It explains how a request gets a [`access::Grant`], the value that opens a tenant
//! transaction.
//!
//! | module | holds |
//! | --- | --- |
//! | [`access`] | the application's roles, plans and permissions; `Access`, `authorize`, `Grant` |
//! | [`auth`] | principals, the `Authenticator` trait, JSON Web Tokens (feature `jwt`), tokens of identity providers (features `openid`, `openid-http`) |
//! | [`billing`] | subscription status, standing, grace period |
//! | [`limit`] | rate limits in the process, or in a store that processes share |
//! | `redis` | that store on Redis (features `redis`, `redis-tls`, `redis-cluster`) |
//! | `pg` | Postgres (feature `postgres`): transactions, members, invites, caps, audit log, webhook ledger, export |
//! | [`member_policy`] | which role may invite, assign and remove which role |
//! | [`shares`] | how many connections one tenant or principal may use at once |
//! | [`clock`] | time, as an argument of decisions |
//! | [`email`] | e-mail addresses in canonical form |
//! | [`id`] | typed identifiers |
//! | [`mod@model`] | all of these as one table |
//! | [`tenant_name`] | slugs and domain names of tenants |
//! | [`mod@text_enum`] | enums with a text form |
//! | [`token`] | single-use tokens, stored as hashes |
//! | `testing` | test databases, isolation checks, cap races (feature `testing`) |
//!
//! Apart from fetching keys of identity providers, the crate knows no HTTP, no `tower` and no framework. Decisions take the time as an argument; the database's clock
//! decides when links, invites and leases expire.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
pub mod auth;
pub mod billing;
pub mod clock;
mod derived_key;
mod dns_name;
pub mod email;
pub mod id;
pub mod limit;
pub mod member_policy;
pub mod model;
#[cfg(feature = "postgres")]
pub mod pg;
#[cfg(feature = "redis")]
pub mod redis;
pub mod shares;
pub mod tenant_name;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text_enum;
pub mod token;
