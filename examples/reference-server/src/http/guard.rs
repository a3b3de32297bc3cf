//! `mt-tower`'s guards as salvo handlers.
//!
//! The same guards run as tower layers elsewhere. Driven natively they keep salvo's errors and cost
//! no queue; salvo's `.compat()` puts each layer behind a task of its own.

use salvo::http::StatusCode;
use salvo::prelude::*;

use mt_tower::problem::Problem;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::resolve_tenant::PathParams;
use mt_tower::{AnswerHeaders, Guard, View};

use super::headers;
use super::problem::ApiError;
use super::problems::{self, Kind};

/// Puts where guards look for it what salvo keeps elsewhere: the parameters that the router has
/// captured, and the peer's address.
#[handler]
pub async fn bridge(req: &mut Request) {
    let params = req.params().iter().map(|(name, value)| (name.clone(), value.clone()));
    let params: PathParams = params.collect();
    if let Some(peer) = req.remote_addr().clone().into_std() {
        req.extensions_mut().insert(PeerAddr(peer));
    }
    req.extensions_mut().insert(params);
}

/// A guard, as a salvo handler that stops the chain when the guard refuses.
#[derive(Clone, Debug)]
pub struct SalvoGuard<G>(G);

impl<G: Guard> SalvoGuard<G> {
    /// Drives `guard`.
    pub const fn new(guard: G) -> Self {
        Self(guard)
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
        // Taken out, because the view borrows them apart from the rest.
        let mut extensions = std::mem::take(req.extensions_mut());
        let mut answer = AnswerHeaders::new();
        let view = View {
            method: req.method(),
            uri: req.uri(),
            headers: req.headers(),
            extensions: &mut extensions,
            answer: &mut answer,
        };
        let checked = self.0.check(view).await;
        *req.extensions_mut() = extensions;
        headers::add_to_answer(req, answer);
        if let Err(problem) = checked {
            ApiError::from(problem).write_to(res, req.extensions().get());
            ctrl.skip_rest();
        }
    }
}

impl From<Problem> for ApiError {
    /// The library's vocabulary in this server's: what it calls a tenant is an org here.
    fn from(problem: Problem) -> Self {
        let kind = match problem.code() {
            "tenant-suspended" => &problems::ORG_SUSPENDED,
            code => Kind::find(code).unwrap_or(match problem.status() {
                StatusCode::SERVICE_UNAVAILABLE => &problems::UNAVAILABLE,
                _ => &problems::INTERNAL,
            }),
        };
        let mut error = Self::new(kind);
        for (name, value) in problem.headers() {
            error = error.header(name.clone(), value.clone());
        }
        error
    }
}
