//! Guards as tower layers.
//!
//! [`GuardLayer`] runs one [`Guard`](crate::Guard) before a service. A request that the guard refuses does not
//! reach the service. Its response, never an error, is rendered by a [`Reject`](crate::problem::Reject), and
//! the [`Problem`](crate::problem::Problem) is left in the response's extensions for outer layers that log
//! or count.
//!
//! The layer is generic over both bodies and moves them untouched. The service must be `Clone`, and the
//! `Reject` must be able to make its response body.
//!
//! Under a framework that drives layers from a queue with one worker (salvo's `.compat()`), a
//! `call` that blocks or panics would hold up or end every request. Here, `call` only moves
//! values; the guard runs when the answer is polled, and a panic in it ends one request.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::problem::Problem;
//! use mt_tower::{Guard, RequestContext};
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! struct Closed;
//!
//! impl Guard for Closed {
//!     async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
//!         Err(Problem::unavailable())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(GuardLayer::new(Closed))
//!     .service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) });
//! let answer = service.oneshot(Request::new(Full::default())).await?;
//! assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
//! assert_eq!(answer.extensions().get(), Some(&Problem::unavailable()));
//! # Ok(())
//! # }
//! ```

mod future;
mod service;

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

pub use self::future::ResponseFuture;
pub use self::service::GuardService;
use crate::problem::ProblemJson;

/// Layer that puts a guard in front of a service.
///
/// See the [module docs](self) for an example.
#[must_use]
pub struct GuardLayer<G, J = ProblemJson> {
    shared: Arc<Shared<G, J>>,
}

/// The state that all clones and all requests of a layer share.
struct Shared<G, J> {
    guard: G,
    reject: J,
}

impl<G> GuardLayer<G> {
    /// Refuses with `application/problem+json`.
    pub fn new(guard: G) -> Self {
        Self::with_reject(guard, ProblemJson)
    }
}

impl<G, J> GuardLayer<G, J> {
    /// Refuses with the responses of `reject`.
    pub fn with_reject(guard: G, reject: J) -> Self {
        Self { shared: Arc::new(Shared { guard, reject }) }
    }
}

impl<S, G, J> Layer<S> for GuardLayer<G, J> {
    type Service = GuardService<S, G, J>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, Arc::clone(&self.shared))
    }
}

// Not derived: a derive would ask for `G: Clone` and `G: Debug`.
impl<G, J> Clone for GuardLayer<G, J> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<G, J> fmt::Debug for GuardLayer<G, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").field("guard", &std::any::type_name::<G>()).finish()
    }
}
