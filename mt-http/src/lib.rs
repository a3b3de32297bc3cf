//! Ready-made HTTP endpoints of a multi-tenant service, for any framework.
//!
//! [`Endpoints`] is a list of groups, generic over the access model; [`EndpointService`] is the service from
//! [`http::Request`] to [`http::Response`] that it becomes:
//!
//! | group | endpoints |
//! | --- | --- |
//! | [`SignIn`] | sign-in links by mail, the page behind them, access tokens, `GET /me` |
//! | [`Tenants`] | the caller's tenants: list, create, show, rename, delete |
//! | [`Members`] | list, change of role, removal |
//! | [`Roles`] | custom roles of a tenant |
//! | [`Invites`] | create, list, revoke, accept, the page behind the mail |
//! | [`ServiceAccounts`], [`ApiKeys`] | principals that are not people; keys: create, list, rotate, narrow, revoke |
//! | [`AuditLog`] | who did what, in pages |
//! | `Billing`, `Webhooks` | Stripe: state, customer, checkout, portal, deliveries (feature `stripe`) |
//! | [`Operators`], [`Jobs`], `WebhookEvents` | suspension, jobs, stored events |
//!
//! What the service calls its tenants is a [`Noun`]: with `Noun::new("shop", "shops")` paths begin with `/shops/{shop_id}`.
//! [`Guards`] stand before the endpoints, [`EndpointOptions`] are the settings, mails come from `mt-mail`.
//! [`Endpoints::openapi`] describes the endpoints.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mt_core::auth::jwt::JwtAuthenticator;
//! use mt_core::pg::Database;
//! use mt_http::{EndpointOptions, EndpointService, Endpoints, Guards, Members, Noun, SignIn};
//!
//! mt_core::model! {
//!     pub Helpdesk;
//!     roles Role { Owner = "owner" (owner), Agent = "agent" }
//!     plans Plan { Basic = "basic" (initial) }
//!     permissions Action {
//!         MembersRead = "members.read"     [yes yes] [yes] exempt read;
//!         MembersAssign = "members.assign" [yes no]  [yes] exempt write;
//!         MembersRemove = "members.remove" [yes yes] [yes] exempt write;
//!     }
//! }
//!
//! fn endpoints() -> Endpoints<Helpdesk> {
//!     Endpoints::new(Noun::new("shop", "shops"))
//!         .mount(SignIn)
//!         .mount(Members { read: MembersRead, assign: MembersAssign, remove: MembersRemove })
//! }
//!
//! fn service(database: &Database, tokens: Arc<JwtAuthenticator>, secret: &[u8]) -> EndpointService<Helpdesk> {
//!     let tenants = database.tenants::<Helpdesk>(Default::default());
//!     let guards = Guards::new(&tenants, Arc::clone(&tokens));
//!     let options = EndpointOptions::new(secret, "https://helpdesk.example").tokens(tokens);
//!     endpoints().into_service(database, tenants, guards, options)
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
pub mod body;
mod call;
mod context;
mod cursors;
mod endpoints;
pub mod etag;
pub mod fields;
mod group;
mod groups;
mod guards;
pub mod head;
mod incoming;
pub mod json;
mod mail_limits;
mod noun;
mod openapi;
mod operation;
mod operator_token;
mod options;
pub mod page;
mod pages;
mod problems;
mod query;
mod refusal;
mod router;
mod service;

pub use self::call::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY, repeatable};
pub use self::cursors::{Cursors, ListCursors};
pub use self::endpoints::Endpoints;
pub use self::group::Group;
pub use self::groups::{
    ApiKeys, AuditLog, Invites, JobView, Jobs, Members, Operators, Roles, ServiceAccounts, SignIn,
    Tenants,
};
#[cfg(feature = "stripe")]
pub use self::groups::{Billing, EventView, MAX_DELIVERY, Receipt, WebhookEvents, Webhooks};
pub use self::guards::Guards;
pub use self::noun::Noun;
pub use self::options::EndpointOptions;
pub use self::pages::Page;
pub use self::router::Route;
pub use self::service::{EndpointService, ResponseFuture};
