//! Cross-origin requests from browsers (WHATWG Fetch, "CORS protocol").
//!
//! Off unless origins are configured. Origins match byte by byte, are never reflected unless they
//! match, and there is no wildcard. Credentials are not allowed: the API knows bearer tokens only,
//! which a script has to add itself.

use std::collections::HashSet;

use salvo::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use salvo::http::{Method, StatusCode};
use salvo::{Request, Response};

const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, x-request-id",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id",
);

/// The origins whose scripts may read answers.
#[derive(Debug, Default)]
pub(super) struct Cors {
    origins: HashSet<HeaderValue>,
}

impl Cors {
    pub(super) fn new(origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        Self { origins: origins.into_iter().collect() }
    }

    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        headers.get(ORIGIN).filter(|origin| self.origins.contains(*origin))
    }

    /// Whether `req` is a preflight from an origin that is let in.
    pub(super) fn is_preflight(&self, req: &Request) -> bool {
        *req.method() == Method::OPTIONS
            && req.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed(req.headers()).is_some()
    }

    /// Answers a preflight for a path that has `methods`.
    pub(super) fn answer_preflight(methods: &HeaderValue, res: &mut Response) {
        res.status_code(StatusCode::NO_CONTENT);
        let headers = res.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }

    /// Lets the origin of `req` read the answer, if it is one that is let in.
    pub(super) fn admit(&self, req: &Request, res: &mut Response) {
        if self.origins.is_empty() {
            return;
        }
        res.headers_mut().append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(req.headers()) {
            res.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            res.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}
