//! The middleware itself.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, Shared};
use crate::guard::Guard;
use crate::problem::{ProblemJson, Reject};

/// Middleware that runs a guard before the inner service.
///
/// See the [module docs](super) for an example.
pub struct GuardService<S, G, J = ProblemJson> {
    inner: S,
    shared: Arc<Shared<G, J>>,
}

impl<S, G, J> GuardService<S, G, J> {
    pub(super) fn new(inner: S, shared: Arc<Shared<G, J>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, G, J, ReqBody, ResBody> Service<Request<ReqBody>> for GuardService<S, G, J>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: Guard,
    J: Reject<ResBody>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, G, J, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The future takes the service that `poll_ready` was called on; its clone stays behind.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(request, ready, Arc::clone(&self.shared))
    }
}

impl<S: Clone, G, J> Clone for GuardService<S, G, J> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, G, J> fmt::Debug for GuardService<S, G, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService")
            .field("inner", &self.inner)
            .field("guard", &std::any::type_name::<G>())
            .finish_non_exhaustive()
    }
}
