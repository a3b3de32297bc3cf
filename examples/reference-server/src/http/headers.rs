//! Headers of every answer.

use salvo::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    SERVER, X_CONTENT_TYPE_OPTIONS,
};
use salvo::{Request, Response};

/// What a JSON answer may do in a browser: nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Puts the headers on an answer.
///
/// A page or an asset may have said its own `cache-control` and content security policy; the rest
/// is fixed. `server` is removed, because it would tell attackers which software to look for.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.remove(SERVER);
}

/// Headers to add to the answer, also to a refusal or after a panic.
///
/// Guards leave them in the request's extensions, because the response that they see may be
/// replaced later.
#[derive(Clone, Debug, Default)]
struct Pending(Vec<(HeaderName, HeaderValue)>);

/// Has `headers` added to the final answer to `req`.
pub fn add_to_answer(
    req: &mut Request,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) {
    let mut headers = headers.into_iter().peekable();
    if headers.peek().is_some() {
        req.extensions_mut().get_or_insert_default::<Pending>().0.extend(headers);
    }
}

pub(super) fn settle_pending(req: &mut Request, res: &mut Response) {
    if let Some(Pending(headers)) = req.extensions_mut().remove() {
        for (name, value) in headers {
            res.headers_mut().append(name, value);
        }
    }
}
