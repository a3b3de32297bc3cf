//! Refuses requests early if the queue for a connection is full.
//!
//! [`Bulkhead`] checks the [`Shares`] of the pool, of which `mt-core` takes a seat when it opens a transaction. The
//! guard takes no seat, so a request that reads a slow body or sends a long answer holds nothing that others need.
//! The transaction would refuse such a request too, but only after its body was read.
//!
//! With an [`Access`] in the request's extensions the share is that of the member in the tenant, without one that
//! of the principal outside of tenants. So the guard works behind
//! [`LoadAccess`](crate::load_access::LoadAccess) and behind [`Authenticate`](crate::authenticate::Authenticate).
//!
//! # When it refuses
//!
//! * 503 `unavailable` with `Retry-After`: the queue of the tenant or principal is full;
//! * 500 `internal`: there is no principal.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
//! use mt_core::id::PrincipalId;
//! use mt_core::shares::Shares;
//! # use mt_core::access::AccessModel;
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::bulkhead::Bulkhead;
//! use mt_tower::layer::GuardLayer;
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! # async fn run<Acme: AccessModel>() -> Result<(), BoxError> {
//! let key = JwtKey::hs256("the secret of this month, 32 bytes")?;
//! let tokens = JwtAuthenticator::new(JwtConfig::new("acme", "acme", key))?;
//! let token = tokens.issue(PrincipalId::generate(), 0)?.token;
//! // With Postgres, those of the database: `database.shares().clone()`.
//! let shares = Shares::of(16);
//!
//! let service = ServiceBuilder::new()
//!     .layer(GuardLayer::new((Authenticate::new(tokens), Bulkhead::<Acme>::new(shares))))
//!     .service_fn(|_: Request<Full<Bytes>>| async {
//!         Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
//!     });
//! let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
//! let answer = service.oneshot(request.body(Full::default())?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! # mt_core::text_enum! { enum One { One = "one" } }
//! # struct Model;
//! # impl AccessModel for Model {
//! #     type Role = One;
//! #     type Plan = One;
//! #     type Permission = One;
//! #     fn role_grants(_: One, _: One) -> bool { true }
//! #     fn plan_includes(_: One, _: One) -> bool { true }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> { run::<Model>().await }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mt_core::access::{Access, AccessModel};
use mt_core::auth::Principal;
use mt_core::shares::{Requester, Shares};

use crate::guard::{Guard, RequestContext};
use crate::problem::Problem;

/// The `Retry-After` of a refusal: about as long as a request waits for its seat.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Guard that refuses requests early if the queue for a connection is full.
///
/// See the [module docs](self) for when it refuses.
#[must_use]
pub struct Bulkhead<M> {
    shares: Shares,
    model: PhantomData<fn() -> M>,
}

impl<M: AccessModel> Bulkhead<M> {
    /// Creates the guard of `shares`.
    pub const fn new(shares: Shares) -> Self {
        Self { shares, model: PhantomData }
    }
}

impl<M: AccessModel> Guard for Bulkhead<M> {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let requester = match request.extensions.get::<Access<M>>() {
            Some(access) => Requester::member(access),
            None => Requester::Principal(request.require::<Principal>()?.id()),
        };
        self.shares.check(requester).map_err(|error| {
            tracing::warn!("{error}");
            Problem::unavailable().with_retry_after(RETRY_AFTER)
        })
    }
}

impl<M> Clone for Bulkhead<M> {
    fn clone(&self) -> Self {
        Self { shares: self.shares.clone(), model: PhantomData }
    }
}

impl<M> fmt::Debug for Bulkhead<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead").field("shares", &self.shares).finish()
    }
}
