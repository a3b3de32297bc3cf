//! mt in [salvo](https://docs.rs/salvo).
//!
//! | item | is |
//! | --- | --- |
//! | [`GuardHandler`] | a guard of `mt-tower` as a handler: `router.hoop(GuardHandler::new(guards))` |
//! | [`Caller`] | the principal, as an argument of a handler |
//! | `Tenant` | a permission in the tenant of the request, as an argument (feature `postgres`) |
//! | `endpoints` | the ready-made endpoints of `mt-http` as routes (feature `endpoints`) |
//! | `serve` | a service on a socket, with deadlines and limits of connections (feature `serve`) |
//! | [`Refusal`] | the error of handlers: a problem as a response |
//!
//! # Example
//!
#![cfg_attr(feature = "postgres", doc = "```")]
#![cfg_attr(not(feature = "postgres"), doc = "```ignore")]
//! use mt_core::auth::Authenticator;
//! use mt_core::pg::{Tenants, query_scalar};
//! use mt_salvo::{GuardHandler, Refusal, Tenant};
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::resolve_tenant::{PathParam, ResolveTenant};
//! use salvo::affix_state;
//! use salvo::prelude::*;
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
//! #[handler]
//! async fn notes(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>, Refusal> {
//!     let texts = query_scalar("select text from app.notes where tenant_id = mt.tenant_id() order by id");
//!     Ok(Json(notebook.fetch_all(texts).await?))
//! }
//!
//! fn router(tenants: Tenants<Notebook>, tokens: impl Authenticator) -> Router {
//!     let guards = (Authenticate::new(tokens), ResolveTenant::new(PathParam("notebook_id")));
//!     Router::with_path("notebooks/{notebook_id}/notes")
//!         .hoop(affix_state::inject(tenants))
//!         .hoop(GuardHandler::new(guards))
//!         .get(notes)
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod caller;
#[cfg(feature = "endpoints")]
mod endpoints;
mod guard;
mod refusal;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "postgres")]
mod tenant;

pub use self::caller::Caller;
#[cfg(feature = "endpoints")]
pub use self::endpoints::endpoints;
pub use self::guard::GuardHandler;
pub use self::refusal::Refusal;
#[cfg(feature = "serve")]
pub use self::serve::serve;
#[cfg(feature = "postgres")]
pub use self::tenant::Tenant;
