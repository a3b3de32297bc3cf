//! Tower layers that put `mt-core` in front of an HTTP service.
//!
//! A request is checked step by step. Each step is a [`Guard`]: it sees method, URI, headers and
//! extensions, never the body, and either lets the request pass or refuses it with a
//! [`Problem`](problem::Problem). [`GuardLayer`](layer::GuardLayer) makes a tower layer of a
//! guard, or of several in a tuple, for axum, hyper, tonic and everything else that takes one; a
//! framework with middleware of its own kind can drive the same guard in a few lines.
//!
//! | guard | needs in extensions | leaves in extensions | refuses with |
//! | --- | --- | --- | --- |
//! | [`RateLimit`](rate_limit::RateLimit) | what its key asks for | – | 429 |
//! | [`Authenticate`](authenticate::Authenticate) | – | `Principal` | 401, 503 |
//! | [`ResolveTenant`](resolve_tenant::ResolveTenant) | what its resolver asks for | `RequestedTenant` or `TenantFree` | 404, 503 |
//! | [`LoadAccess`](load_access::LoadAccess) | `Principal`, `RequestedTenant` | `Access<M>` | 401, 404, 503 |
//! | [`Require`](require::Require) | `Access<M>` | – | 403, 402 |
//! | [`BillingGate`](billing_gate::BillingGate) | `Access<M>` | – | 402 |
//! | [`Observed`](observe::Observed) | what its guard asks for | what its guard leaves | as its guard does |
//!
//! Put them on in this order, outermost first; `RateLimit` may stand in several places. A guard
//! that misses what it needs answers 500 and logs an error: layers in the wrong order never let
//! anybody pass. [`TraceLayer`](trace::TraceLayer) goes around them all.
//!
//! Guards refuse early and save work. What holds when they are forgotten is the transaction of
//! `mt-core`, which checks again beside the data.
//!
//! A refusal is an answer, in a shape of one's own choice: a [`Reject`](problem::Reject) makes it, be it
//! problem+json, [gRPC](problem::GrpcStatus), or a page.
//!
//! The crate depends on no framework: it says `tower` only through `tower-layer` and
//! `tower-service`.
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

pub mod authenticate;
pub mod authorize;
pub mod billing_gate;
pub mod guard;
pub mod layer;
pub mod load_access;
pub mod observe;
pub mod problem;
pub mod rate_limit;
pub mod require;
pub mod resolve_tenant;
pub mod trace;

pub use self::guard::{AnswerHeaders, Guard, View};
