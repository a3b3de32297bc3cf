//! mt in [axum](https://docs.rs/axum).
//!
//! | item | is |
//! | --- | --- |
//! | [`Routes`] | the routes of a tenant, each with the permission that its handler asks for |
//! | [`Tenant`] | a permission in the tenant of the request, as the first argument of a handler |
//! | [`Caller`] | the principal, as an argument of a handler |
//! | [`Refusal`], [`Result`] | the error of handlers: a problem as a response |
//! | `endpoints` | the ready-made endpoints of `mt-http` as routes (feature `endpoints`) |
//! | `serve` | a router on a socket, with deadlines and limits of connections (feature `serve`) |
//! | `Service` | a whole service: migrations, endpoints, routes, settings from the environment (feature `service`) |
//! | [`guarded`] | puts guards of `mt-tower` before the routes of a router |
//!
//! # Example
//!
//! ```
//! use axum::{Json, Router};
//! use mt_axum::{Result, Routes, Tenant};
//! use mt_core::auth::Authenticator;
//! use mt_core::pg::{Tenants, query_scalar};
//!
//! mt_core::model! {
//!     pub Notebook;
//!     roles Role { Owner = "owner" (owner), Reader = "reader" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Action {
//!         NotesRead = "notes.read" [yes yes] [yes] exempt read;
//!     }
//! }
//!
//! async fn notes(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>> {
//!     let texts = query_scalar("select text from app.notes where tenant_id = mt.tenant_id() order by id");
//!     Ok(Json(notebook.fetch_all(texts).await?))
//! }
//!
//! fn routes() -> Routes<Notebook> {
//!     Routes::under("/notebooks/{notebook_id}").get("/notes", notes)
//! }
//!
//! fn app(tenants: Tenants<Notebook>, tokens: impl Authenticator) -> Router {
//!     routes().into_router(tenants, tokens)
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod caller;
#[cfg(feature = "endpoints")]
mod endpoints;
mod guarded;
mod refusal;
mod request;
mod routes;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
mod service_error;
#[cfg(feature = "service")]
mod span;
mod tenant;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::caller::Caller;
#[cfg(feature = "endpoints")]
pub use self::endpoints::endpoints;
pub use self::guarded::guarded;
pub use self::refusal::{Refusal, Result};
pub use self::routes::{FirstArgument, Route, Routes};
#[cfg(feature = "serve")]
pub use self::serve::serve;
#[cfg(feature = "service")]
pub use self::service::Service;
#[cfg(feature = "service")]
pub use self::service_error::ServiceError;
pub use self::tenant::Tenant;
