//! mt without a framework, a router and a database. Shops count their visitors.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /shops/{tenant}` | how many there were |
//! | `POST /shops/{tenant}` | how many with this one; 402 when the shop has not paid |
//!
//! The guards are those of any other service, in one [`GuardLayer`] of a `tower::ServiceBuilder`; the
//! tenant is read from the path by a template, access comes from memory, and [`page`] says no in HTML.
//! [`serve`] puts it on a socket.

mod model;
mod refusal;
mod server;
mod shops;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::limit::{InProcessLimiter, Quota};
use mt_tower::authenticate::Authenticate;
use mt_tower::authorize::authorize;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::problem::Problem;
use mt_tower::rate_limit::{ClientAddress, RateLimit};
use mt_tower::resolve_tenant::{PathTemplate, ResolveTenant};
use mt_tower::trace::SpanLayer;
use tower::{Service, ServiceBuilder};

pub use self::refusal::page;
pub use self::server::serve;
pub use self::shops::Shops;

/// The shops' counters behind their guards. No client may send more than `quota`.
pub fn service<B: Send + 'static>(
    shops: Arc<Shops>,
    tokens: JwtAuthenticator,
    quota: Quota,
) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let path = PathTemplate::new("/shops/{tenant}").expect("it has the segment once");
    let guards = (
        RateLimit::new("address", InProcessLimiter::new(), ClientAddress::direct(), quota),
        Authenticate::new(tokens),
        ResolveTenant::new(path),
        LoadAccess::new(Arc::clone(&shops)),
    );
    ServiceBuilder::new()
        .layer(SpanLayer::new())
        .layer(GuardLayer::with_reject(guards, page))
        .service_fn(move |request: Request<B>| {
            let shops = Arc::clone(&shops);
            async move {
                let (parts, _) = request.into_parts();
                let answer = visitors(&shops, &parts);
                Ok(answer.unwrap_or_else(|problem| page(&problem, &parts.extensions)))
            }
        })
}

/// Looks or counts. Both ask for a grant, so neither is reached past its check.
fn visitors(shops: &Shops, request: &Parts) -> Result<Response<Full<Bytes>>, Problem> {
    // A template looks at how a path begins.
    if request.uri.path().split('/').count() != 3 {
        return Err(Problem::NOT_FOUND);
    }
    let visitors = match request.method {
        Method::GET | Method::HEAD => shops.look(&authorize(&request.extensions)?),
        Method::POST => shops.count(&authorize(&request.extensions)?),
        _ => return Err(method_not_allowed()),
    };
    let visitors = visitors.ok_or(Problem::NOT_FOUND)?;
    let mut answer = Response::new(Full::from(format!("{visitors}\n")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(answer)
}

fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
        .with_header(ALLOW, HeaderValue::from_static("GET, HEAD, POST"))
}
