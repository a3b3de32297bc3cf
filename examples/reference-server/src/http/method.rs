//! Methods: HEAD is answered as GET, and a path knows which methods it has.

use salvo::http::{HeaderValue, Method};
use salvo::routing::{Filter, PathState, Router};
use salvo::{Request, async_trait};

/// The methods that routes may have.
const ROUTABLE: [Method; 5] =
    [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];

/// Whether routes may have `method`. TRACE, CONNECT and OPTIONS they may not.
pub(super) fn is_routable(method: &Method) -> bool {
    ROUTABLE.contains(method)
}

/// A filter at the root of the router that routes HEAD as GET (RFC 9110 §9.3.2), so that no route
/// can forget it. A filter, because salvo routes before it calls any handler.
#[derive(Debug)]
pub(super) struct HeadAsGet;

#[derive(Clone, Copy)]
struct AskedByHead;

#[async_trait]
impl Filter for HeadAsGet {
    async fn filter(&self, req: &mut Request, _state: &mut PathState<'_>) -> bool {
        if *req.method() == Method::HEAD {
            *req.method_mut() = Method::GET;
            req.extensions_mut().insert(AskedByHead);
        }
        true
    }
}

/// Returns whether the client sent HEAD. Handlers see GET; the shell restores the method before the answer is
/// sent, so that salvo sends no body.
pub(super) fn take_head(req: &mut Request) -> bool {
    req.extensions_mut().remove::<AskedByHead>().is_some()
}

/// Returns the methods of the path of `req`, as `Allow` lists them. `None` if there is no such path.
pub(super) async fn allowed(router: &Router, req: &mut Request) -> Option<HeaderValue> {
    let asked = req.method().clone();
    let mut names = Vec::new();
    for method in ROUTABLE {
        *req.method_mut() = method.clone();
        let mut state = PathState::from_owned_path(req.uri().path().to_owned());
        if router.detect(req, &mut state).await.is_some() {
            names.push(method.to_string());
            if method == Method::GET {
                names.push(Method::HEAD.to_string());
            }
        }
    }
    *req.method_mut() = asked;
    if names.is_empty() {
        return None;
    }
    Some(HeaderValue::try_from(names.join(", ")).expect("method names are visible ASCII"))
}
