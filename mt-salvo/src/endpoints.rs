//! Ready-made endpoints as routes.

use http::request::Parts;
use http::{Method, Request as HttpRequest};
use mt_core::access::AccessModel;
use mt_http::EndpointService;
use salvo::{Depot, FlowCtrl, Handler, Request, Response, Router, async_trait};

use crate::guard::{copy_route, replace};

/// Returns a router with a route for each of `endpoints`.
///
/// ```
/// use mt_core::member_policy::MemberPolicy;
/// use mt_http::EndpointService;
/// use salvo::Router;
///
/// fn router<M: MemberPolicy>(endpoints: &EndpointService<M>) -> Router {
///     Router::new().push(mt_salvo::endpoints(endpoints))
/// }
/// ```
#[must_use]
pub fn endpoints<M: AccessModel>(endpoints: &EndpointService<M>) -> Router {
    endpoints.routes().into_iter().fold(Router::new(), |router, route| {
        let path = Router::with_path(route.path.trim_start_matches('/'));
        let handler = EndpointHandler(endpoints.clone());
        router.push(match route.method {
            Method::DELETE => path.delete(handler),
            Method::PATCH => path.patch(handler),
            Method::POST => path.post(handler),
            Method::PUT => path.put(handler),
            _ => path.get(handler),
        })
    })
}

/// Handler that has the endpoints answer.
struct EndpointHandler<M: AccessModel>(EndpointService<M>);

#[async_trait]
impl<M: AccessModel> Handler for EndpointHandler<M> {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        copy_route(req);
        let mut parts = take_parts(req);
        let body = req.take_body();
        let answer = self.0.respond(&mut parts, body).await;
        *req.headers_mut() = parts.headers;
        *req.extensions_mut() = parts.extensions;
        replace(res, answer);
    }
}

/// Moves headers and extensions out of `req`.
fn take_parts(req: &mut Request) -> Parts {
    let (mut parts, ()) = HttpRequest::new(()).into_parts();
    parts.method = req.method().clone();
    parts.uri = req.uri().clone();
    parts.version = req.version();
    parts.headers = std::mem::take(req.headers_mut());
    parts.extensions = std::mem::take(req.extensions_mut());
    parts
}
