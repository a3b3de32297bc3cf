//! A guard as a salvo handler.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mt_tower::problem::{ProblemJson, Reject};
use mt_tower::rate_limit::PeerAddr;
use mt_tower::resolve_tenant::PathParams;
use mt_tower::{Guard, RequestContext, ResponseHeaders};
use salvo::http::ResBody;
use salvo::{Depot, FlowCtrl, Handler, Request, Response, async_trait};

/// Handler that runs a [`Guard`], and ends the request if the guard refuses it.
///
/// Put it before routes with `hoop`. Several guards in a tuple are one guard. The guard finds the path parameters that
/// the router has captured ([`PathParams`]) and the peer's address ([`PeerAddr`]) in the request's extensions.
///
/// Headers of the guard are added to the response after the handlers behind it. If the response may be replaced later,
/// as after a panic, put an empty [`ResponseHeaders`] into the request's extensions at the outermost handler: guards then
/// leave their headers there, and the outermost handler adds them.
///
/// salvo's `.compat()` runs a tower layer too, but behind a queue with a task of its own, and turns its errors into its own.
///
/// ```
/// use mt_core::auth::Authenticator;
/// use mt_salvo::GuardHandler;
/// use mt_tower::authenticate::Authenticate;
/// use mt_tower::resolve_tenant::{PathParam, ResolveTenant};
/// use salvo::prelude::*;
///
/// #[handler]
/// async fn notes() -> &'static str {
///     "[]"
/// }
///
/// fn routes(tokens: impl Authenticator) -> Router {
///     let guards = (Authenticate::new(tokens), ResolveTenant::new(PathParam("shop_id")));
///     Router::with_path("shops/{shop_id}").hoop(GuardHandler::new(guards)).push(Router::with_path("notes").get(notes))
/// }
/// ```
#[must_use]
pub struct GuardHandler<G> {
    guard: G,
    reject: Arc<dyn Reject<Bytes>>,
}

impl<G: Guard> GuardHandler<G> {
    /// Runs `guard`. A refusal is answered as `application/problem+json`.
    pub fn new(guard: G) -> Self {
        Self { guard, reject: Arc::new(ProblemJson::default()) }
    }

    /// Renders refusals with `reject` instead.
    pub fn with_reject(self, reject: impl Reject<Bytes>) -> Self {
        Self { reject: Arc::new(reject), ..self }
    }
}

#[async_trait]
impl<G: Guard> Handler for GuardHandler<G> {
    async fn handle(
        &self,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        copy_route(req);
        // Taken out, because the context borrows them apart from the rest.
        let mut extensions = std::mem::take(req.extensions_mut());
        let mut added = ResponseHeaders::new();
        let context = RequestContext {
            method: req.method(),
            uri: req.uri(),
            headers: req.headers(),
            extensions: &mut extensions,
            response_headers: &mut added,
        };
        let checked = self.guard.check(context).await;
        *req.extensions_mut() = extensions;
        let collector = req.extensions_mut().get_mut::<ResponseHeaders>();
        let added = match collector {
            Some(collector) => {
                added.into_iter().for_each(|(name, value)| collector.append(name, value));
                ResponseHeaders::new()
            }
            None => added,
        };
        match checked {
            Ok(()) => {
                ctrl.call_next(req, depot, res).await;
            }
            Err(problem) => {
                replace(res, self.reject.reject(&problem, req.extensions()));
                ctrl.skip_rest();
            }
        }
        added.append_to(res.headers_mut());
    }
}

/// Copies the captured path parameters and the peer's address to where guards look for them.
pub(crate) fn copy_route(req: &mut Request) {
    if req.extensions().get::<PathParams>().is_none() {
        let params = req.params().iter().map(|(name, value)| (name.clone(), value.clone()));
        let params: PathParams = params.collect();
        req.extensions_mut().insert(params);
    }
    if req.extensions().get::<PeerAddr>().is_none()
        && let Some(peer) = req.remote_addr().clone().into_std()
    {
        req.extensions_mut().insert(PeerAddr(peer));
    }
}

/// Makes `answer` the response.
pub(crate) fn replace(res: &mut Response, answer: http::Response<Bytes>) {
    let (parts, body) = answer.into_parts();
    res.status_code(parts.status);
    res.extensions.extend(parts.extensions);
    res.headers_mut().extend(parts.headers);
    res.replace_body(ResBody::Once(body));
}

impl<G: Clone> Clone for GuardHandler<G> {
    fn clone(&self) -> Self {
        Self { guard: self.guard.clone(), reject: Arc::clone(&self.reject) }
    }
}

impl<G: fmt::Debug> fmt::Debug for GuardHandler<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardHandler").field("guard", &self.guard).finish_non_exhaustive()
    }
}
