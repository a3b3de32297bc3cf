//! Multi-tenancy for Rust web services on Postgres.
//!
//! This crate is one dependency for all of mt. It has no code of its own: each module below is that of
//! another crate, which can be used alone.
//!
//! | module | from | feature |
//! | --- | --- | --- |
//! | [`model!`], [`access`], [`member_policy`] | `mt-core`: roles, plans, permissions, decisions | |
//! | [`auth`] | `mt-core`: principals and authenticators | `jwt` for JSON Web Tokens, `openid-http` for identity providers |
//! | [`pg`] | `mt-core`: tenant transactions, members, invites, caps, audit log | `postgres`, on by default; `archive` for tenants as tar files |
//! | [`limit`], [`shares`] | `mt-core`: rate limits, shares of the connections | `redis` to share limits among replicas |
//! | [`layers`] | `mt-tower`: guards as tower layers, problem responses | |
//! | `endpoints` | `mt-http`: sign-in, tenants, members, invites, billing, audit log | `endpoints` |
//! | `axum` | `mt-axum`: routes and extractors, and with `service` a whole service | `axum` |
//! | `salvo` | `mt-salvo`: handlers and extractors | `salvo` |
//! | `service` | `mt-service`: connections with deadlines, settings, log, metrics | `serve`, `settings`, `log`, `metrics` |
//! | `tonic` | `mt-tonic`: statuses, the peer's address | `tonic` |
//! | `mail` | `mt-mail`: e-mail through the outbox | `mail` |
//! | `stripe` | `mt-stripe`: webhooks and billing | `stripe` |
//! | `testing` | `mt-core`: isolation, roles, caps under test | `testing` |
//! | [`prelude`] | what most files of a service name | |
//! | `sqlx` | the version of sqlx that `pg` is built on | `postgres` |
//!
//! # Example
//!
//! ```
//! use mt::axum::{Result, Routes, Tenant};
//! use mt::prelude::*;
//!
//! mt::model! {
//!     pub Notebook;
//!     roles Role { Owner = "owner" (owner), Reader = "reader" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Action {
//!         //                        Owner Reader  Free
//!         NotesRead = "notes.read" [yes   yes]   [yes] exempt read;
//!     }
//! }
//!
//! async fn notes(notebook: Tenant<NotesRead>) -> Result<axum::Json<Vec<String>>> {
//!     let texts = query_scalar("select text from app.notes where tenant_id = mt.tenant_id() order by id");
//!     Ok(axum::Json(notebook.fetch_all(texts).await?))
//! }
//!
//! fn routes() -> Routes<Notebook> {
//!     Routes::under("/notebooks/{notebook_id}").get("/notes", notes)
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod prelude;

#[cfg(feature = "axum")]
pub use mt_axum as axum;
#[cfg(feature = "postgres")]
pub use mt_core::pg;
#[cfg(feature = "redis")]
pub use mt_core::redis;
#[cfg(feature = "testing")]
pub use mt_core::testing;
pub use mt_core::{
    access, auth, billing, clock, email, id, limit, member_policy, model, shares, tenant_name,
    text_enum, token,
};
#[cfg(feature = "endpoints")]
pub use mt_http as endpoints;
#[cfg(feature = "mail")]
pub use mt_mail as mail;
#[cfg(feature = "salvo")]
pub use mt_salvo as salvo;
#[cfg(any(feature = "log", feature = "metrics", feature = "serve", feature = "settings"))]
pub use mt_service as service;
#[cfg(feature = "stripe")]
pub use mt_stripe as stripe;
#[cfg(feature = "tonic")]
pub use mt_tonic as tonic;
pub use mt_tower as layers;
#[cfg(feature = "postgres")]
pub use sqlx;
