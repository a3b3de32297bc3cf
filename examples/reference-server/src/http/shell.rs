//! The outermost handler: everything that holds for every answer, whatever the route.
//!
//! In this order: the request gets its id; a head that is too large or does not name its host, a body whose
//! declared length is too large, a path that is not in its one spelling, an unknown path and a method that the
//! path does not have are refused, all before any guard or handler runs. The rest runs with panics caught.
//! Afterwards, errors that are not problems become problems, and every answer gets its headers.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use ipnet::IpNet;
use mt_core::pg::audit_log;
use mt_http::body::BodyBudget;
use mt_http::head::{Head, is_canonical};
use mt_service::log::{record_answer, request_span};
use mt_service::observe::{Answered, Exchange, Observers};
use mt_tower::problem::Problem;
use mt_tower::request_id::{RequestId, X_REQUEST_ID};
use salvo::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use salvo::http::{HeaderValue, Method, ResBody, StatusCode};
use salvo::routing::{FlowCtrl, Router};
use salvo::{Depot, Handler, Request, Response, async_trait};
use tracing::{Instrument as _, Span};

use super::body_limits::BodyLimits;
use super::cors::Cors;
use super::problem::ApiError;
use super::problems::{self, Kind};
use super::{headers, method};

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) router: Arc<Router>,
    pub(super) body_limits: BodyLimits,
    pub(super) body_budget: BodyBudget,
    pub(super) cors: Cors,
    pub(super) observers: Observers,
    pub(super) trusted_proxies: Vec<IpNet>,
}

/// What to do with a request whose head was accepted.
enum Admission {
    Handle,
    Preflight(HeaderValue),
}

#[async_trait]
impl Handler for Shell {
    async fn handle(
        &self,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        // Kept here as well: a panic while the extensions are taken out loses them.
        let id = RequestId::choose(req.headers());
        let is_head = method::take_head(req);
        req.extensions_mut().insert(id.clone());
        req.extensions_mut().insert(self.body_budget.clone());
        headers::collect_promised(req);
        let asked = if is_head { Method::HEAD } else { req.method().clone() };
        let (path, peer) = (req.uri().path(), req.remote_addr().ip());
        let span = request_span(&asked, path, req.headers(), peer, &id, &self.trusted_proxies);
        let exchange = Exchange::begin(&self.observers);
        async {
            audit_log::in_request(id.as_str(), self.answer(&id, req, depot, res, ctrl)).await;
            *req.method_mut() = asked;
            self.finish(&id, req, res);
            tell(exchange, req, res);
        }
        .instrument(span)
        .await;
    }
}

impl Shell {
    async fn answer(
        &self,
        id: &RequestId,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        // salvo sets 404 or 405 before it calls the first handler if no route matches.
        let routed = res.status_code.take().is_none();
        match self.admit(req, routed).await {
            Ok(Admission::Handle) => {
                let handled = AssertUnwindSafe(ctrl.call_next(req, depot, res)).catch_unwind();
                if let Err(panic) = handled.await {
                    tracing::error!(panic = panic_text(&*panic), "a handler panicked");
                    *res = Response::new();
                    ApiError::new(&problems::INTERNAL).write_to(res, Some(id));
                }
            }
            Ok(Admission::Preflight(methods)) => Cors::answer_preflight(&methods, res),
            Err(problem) => problem.write_to(res, Some(id)),
        }
        ctrl.skip_rest();
    }

    async fn admit(&self, req: &mut Request, routed: bool) -> Result<Admission, ApiError> {
        let (method, uri) = (req.method(), req.uri());
        let head = Head { method, uri, version: req.version(), headers: req.headers() };
        head.check_size()?;
        head.check_host()?;
        head.check_declared_length(self.body_limits.of(uri.path()))?;
        if !is_canonical(uri.path()) {
            return Err(ApiError::not_found());
        }
        if routed && method::is_routable(req.method()) {
            return Ok(Admission::Handle);
        }
        let allow = method::allowed(&self.router, req).await.ok_or_else(ApiError::not_found)?;
        if self.cors.is_preflight(req) {
            return Ok(Admission::Preflight(allow));
        }
        Err(problems::METHOD_NOT_ALLOWED.problem().with_header(ALLOW, allow).into())
    }

    fn finish(&self, id: &RequestId, req: &mut Request, res: &mut Response) {
        if let Some(status) = res.status_code
            && (status.is_client_error() || status.is_server_error())
            && !is_json(res)
        {
            ApiError::new(kind_of(status)).write_to(res, Some(id));
        }
        headers::add_promised(req, res);
        self.cors.admit(req, res);
        headers::harden(res.headers_mut());
        res.headers_mut().insert(X_REQUEST_ID, id.to_header());
        if *req.method() == Method::HEAD {
            // The length that GET would have had; salvo takes the body away.
            if let Some(length) = res.body.size().filter(|length| *length > 0) {
                res.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            res.replace_body(ResBody::None);
        }
    }
}

/// Writes the answer into the span and the log, and reports it to the observer.
fn tell(exchange: Exchange, req: &Request, res: &Response) {
    let route = req.matched_path();
    let answered = Answered {
        method: req.method(),
        route: (!route.is_empty()).then_some(route),
        // salvo's own answer if no handler has set one.
        status: res.status_code.unwrap_or(StatusCode::NOT_FOUND),
        problem: res.extensions.get::<Problem>().map(Problem::code),
        took: exchange.took(),
        extensions: req.extensions(),
    };
    record_answer(&Span::current(), &answered);
    let took_ms = answered.took.as_secs_f64() * 1000.0;
    if is_probe(req) {
        tracing::debug!(took_ms, "answered");
    } else {
        tracing::info!(took_ms, "answered");
    }
    exchange.answered(&answered);
}

/// Whether this is a health check, which comes every few seconds and would fill the log.
fn is_probe(req: &Request) -> bool {
    matches!(*req.method(), Method::GET | Method::HEAD)
        && matches!(req.uri().path(), "/health" | "/ready")
}

/// Whether a handler has written its error as JSON of its own, as `/ready` does, or as a problem.
fn is_json(res: &Response) -> bool {
    let content_type = res.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    !res.body.is_none()
        && !res.body.is_error()
        && content_type.is_some_and(|mime| {
            mime.starts_with(b"application/json") || mime.starts_with(b"application/problem+json")
        })
}

/// Returns the kind for a bare status. A status that is not in the catalogue becomes the general one of
/// its class.
fn kind_of(status: StatusCode) -> &'static Kind {
    match status {
        StatusCode::UNAUTHORIZED => &problems::UNAUTHENTICATED,
        StatusCode::PAYMENT_REQUIRED => &problems::BILLING_REQUIRED,
        StatusCode::FORBIDDEN => &problems::FORBIDDEN,
        StatusCode::NOT_FOUND => &problems::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &problems::METHOD_NOT_ALLOWED,
        StatusCode::CONFLICT => &problems::CONFLICT,
        StatusCode::PRECONDITION_FAILED => &problems::PRECONDITION_FAILED,
        StatusCode::PAYLOAD_TOO_LARGE => &problems::TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &problems::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY => &problems::INVALID_FIELDS,
        StatusCode::TOO_MANY_REQUESTS => &problems::RATE_LIMITED,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => &problems::HEADERS_TOO_LARGE,
        StatusCode::SERVICE_UNAVAILABLE => &problems::UNAVAILABLE,
        client if client.is_client_error() => &problems::INVALID_REQUEST,
        _ => &problems::INTERNAL,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
