//! Tower layers that put `mt-core` in front of an HTTP service.
//!
//! A [`Guard`] is one check of a request: it sees method, URI, headers and extensions, never the body,
//! and either lets the request pass or refuses it with a [`Problem`](problem::Problem).
//! [`GuardLayer`](layer::GuardLayer) makes a tower layer of a guard, or of several in a tuple, for axum,
//! hyper, tonic and everything else that takes a layer; a framework with middleware of its own kind can
//! run the same guard in a few lines.
//!
//! | guard | needs in extensions | leaves in extensions | refuses with |
//! | --- | --- | --- | --- |
//! | [`RateLimit`](rate_limit::RateLimit) | what its key needs | – | 429 |
//! | [`Authenticate`](authenticate::Authenticate) | – | `Principal` | 401, 503 |
//! | [`ResolveTenant`](resolve_tenant::ResolveTenant) | what its resolver needs | `RequestedTenant` or `TenantFree` | 404, 503 |
//! | [`LoadAccess`](load_access::LoadAccess) | `Principal`, `RequestedTenant` | `Access<M>` | 401, 404, 503 |
//! | [`Bulkhead`](bulkhead::Bulkhead) | `Principal`, and `RequestedTenant` in a tenant | – | 503 |
//! | [`Require`](require::Require) | `Access<M>` | – | 403, 402 |
//! | [`ObservedGuard`](observe::ObservedGuard) | what its guard needs | what its guard leaves | as its guard does |
//!
//! Apply them in this order, outermost first; `RateLimit` and `Bulkhead` may stand in several places. A guard
//! without the extensions that it needs answers 500 and logs an error: layers in the wrong order let no
//! request pass. [`SpanLayer`](trace::SpanLayer) goes around them all.
//!
//! Guards refuse early and save work. Security does not depend on them: the transaction of `mt-core` checks
//! the permission again beside the data.
//!
//! A refusal is a response. A [`Reject`](problem::Reject) renders it, as problem+json, as a
//! [gRPC status](problem::GrpcStatus), or as a page.
//!
//! The crate depends on no framework, and on `tower` only through `tower-layer` and `tower-service`.
//!
//! # Features
//!
//! `postgres`: errors of `mt_core::pg` become [`Problem`](problem::Problem)s by `From`, and `TenantDirectory` resolves
//! slugs and domains.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! use mt_core::id::{PrincipalId, TenantId};
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::resolve_tenant::{PathTemplate, RequestedTenant, ResolveTenant};
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let tokens = JwtAuthenticator::new(JwtConfig::new("acme", "acme", key))?;
//! let token = tokens.issue(PrincipalId::generate(), 0)?.token;
//!
//! let service = ServiceBuilder::new()
//!     .layer(GuardLayer::new((
//!         Authenticate::new(tokens),
//!         ResolveTenant::new(PathTemplate::new("/orgs/{tenant}")?),
//!     )))
//!     .service_fn(|request: Request<Full<Bytes>>| async move {
//!         let RequestedTenant(tenant) = request.extensions().get().unwrap();
//!         Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(tenant.to_string())))
//!     });
//!
//! let path = format!("/orgs/{}/projects", TenantId::generate());
//! let request = Request::get(&path).header("authorization", format!("Bearer {token}"));
//! let answer = service.clone().oneshot(request.body(Full::default())?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let stranger = Request::get(&path).body(Full::default())?;
//! assert_eq!(service.oneshot(stranger).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authenticate;
pub mod authorize;
pub mod bulkhead;
pub mod guard;
pub mod layer;
pub mod load_access;
pub mod observe;
pub mod problem;
pub mod rate_limit;
pub mod request_id;
pub mod require;
pub mod resolve_tenant;
pub mod trace;

pub use self::guard::{Guard, RequestContext, ResponseHeaders};
