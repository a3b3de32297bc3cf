//! Custom domains: a tenant claims one, proves by a DNS record that it controls it, and is found by it.
//!
//! ```text
//! claim ──▶ Challenge ──▶ the tenant adds a TXT record ──▶ verify ──▶ Tenant::find_by_domain
//!                                                             ▲
//!                                    recheck, once a day ─────┘ takes the domain away after a grace period
//! ```
//!
//! Any number of tenants may claim a domain, because a claim says nothing yet. At most one has it verified, which a
//! unique index ensures, so of two that prove it at once one wins. Only a caller who has proved control of a domain
//! learns that another tenant has it.
//!
//! A tenant's transactions can add and remove claims. [`verify`] and [`recheck`] run as the system, because SQL that is
//! injected into a tenant's query must not verify a domain. They ask DNS before they open a transaction, so a slow
//! name server holds no connection.
//!
//! # Example
//!
//! ```no_run
//! use mt_core::access::{AccessRequest, Permission};
//! use mt_core::pg::audit_log::Actor;
//! use mt_core::pg::domains::{self, Domain, TxtResolver};
//! use mt_core::pg::{BeginError, Database, Tenants};
//! use mt_core::tenant_name::DomainName;
//!
//! # async fn example<P: Permission>(
//! #     (database, tenants): (Database, Tenants<P::Model>), (request, again): (AccessRequest<P>, AccessRequest<P>),
//! #     dns: impl TxtResolver,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! // `POST /domains`: show the record to the user, who adds it.
//! let name = DomainName::parse("tasks.acme.com")?;
//! let mut tx = tenants.begin(request).await?;
//! let domain = domains::claim(&mut tx, &name).await?;
//! tx.commit().await?;
//! println!("{} TXT {}", domain.challenge.record_name(), domain.challenge.record_value());
//!
//! // `POST /domains/tasks.acme.com/verify`, later: the transaction checks the permission.
//! let mut tx = tenants.begin(again).await?;
//! let actor = Actor::of(tx.principal());
//! let Some(domain) = domains::find(&mut tx, &name).await? else { return Ok(()) };
//! tx.rollback().await?;
//! domains::verify(&database.system(), &dns, actor, &domain).await?;
//! # Ok(()) }
//! ```
//!
//! # Capping them
//!
//! Implement [`Resource`](crate::pg::Resource) with the rows `select 1 from mt.domains where tenant_id = (select
//! mt.tenant_id())`, and claim in a transaction that is opened `capped` by it.

mod challenge;
mod claim;
#[cfg(feature = "dns")]
mod dns_resolver;
mod recheck;
mod txt_resolver;
mod verify;

pub use self::challenge::Challenge;
pub use self::claim::{Domain, claim, find, list, remove};
#[cfg(feature = "dns")]
pub use self::dns_resolver::DnsResolver;
pub use self::recheck::{Rechecked, due_for_recheck, recheck};
pub use self::txt_resolver::{DnsError, TxtResolver};
pub use self::verify::{VerifyError, verify};
