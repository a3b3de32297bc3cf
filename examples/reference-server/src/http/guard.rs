//! Guards of `mt-tower` as salvo handlers.
//!
//! The same guards run as tower layers elsewhere. salvo's `.compat()` puts each layer behind a queue with
//! a task of its own; run natively, guards need no queue and keep salvo's errors.

use salvo::prelude::*;

use mt_tower::problem::Problem;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::resolve_tenant::PathParams;
use mt_tower::{Guard, RequestContext, ResponseHeaders};

use super::headers;
use super::problem::ApiError;

/// Copies the parameters that the router has captured, and the peer's address, into the request's
/// extensions, where guards read them.
#[handler]
pub async fn bridge(req: &mut Request) {
    let params = req.params().iter().map(|(name, value)| (name.clone(), value.clone()));
    let params: PathParams = params.collect();
    if let Some(peer) = req.remote_addr().clone().into_std() {
        req.extensions_mut().insert(PeerAddr(peer));
    }
    req.extensions_mut().insert(params);
}

/// Handler that runs a guard and stops the chain if the guard refuses. Put several guards into a tuple.
#[derive(Clone, Debug)]
pub struct SalvoGuard<G>(Option<G>);

impl<G: Guard> SalvoGuard<G> {
    /// Runs `guard`.
    pub const fn new(guard: G) -> Self {
        Self(Some(guard))
    }

    /// Refuses every request, for routes that are described and not served.
    pub(crate) const fn closed() -> Self {
        Self(None)
    }
}

#[async_trait]
impl<G: Guard> Handler for SalvoGuard<G> {
    async fn handle(
        &self,
        req: &mut Request,
        _: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        // Taken out, because the context borrows them apart from the rest.
        let mut extensions = std::mem::take(req.extensions_mut());
        let mut response_headers = ResponseHeaders::new();
        let context = RequestContext {
            method: req.method(),
            uri: req.uri(),
            headers: req.headers(),
            extensions: &mut extensions,
            response_headers: &mut response_headers,
        };
        let checked = match &self.0 {
            Some(guard) => guard.check(context).await,
            None => Err(Problem::unavailable()),
        };
        *req.extensions_mut() = extensions;
        headers::add_to_answer(req, response_headers);
        if let Err(problem) = checked {
            ApiError::from(problem).write_to(res, req.extensions().get());
            ctrl.skip_rest();
        }
    }
}
