//! Names of tenants that people read and type: slugs and domain names.
//!
//! | type | names a tenant in | example |
//! | --- | --- | --- |
//! | [`Slug`] | paths and subdomains of the service | `acme` in `https://acme.example.org` |
//! | [`DomainName`] | a domain that the tenant owns | `tasks.acme.com` |
//!
//! `pg` stores them (feature `postgres`): `Tenant::set_slug`, and `pg::domains` for the proof that a tenant controls a
//! domain.

mod domain;
mod slug;

pub use self::domain::{DomainName, InvalidDomain};
pub use self::slug::{InvalidSlug, Slug};
