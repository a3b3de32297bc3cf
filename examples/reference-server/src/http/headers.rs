//! Headers of every answer.

use mt_tower::ResponseHeaders;
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

/// Has `headers` added to the final answer to `req`, also to a refusal or after a panic.
///
/// Handlers leave them in the request's extensions, as guards do, because the response that they see may be replaced
/// later.
pub fn add_to_answer(
    req: &mut Request,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) {
    let promised = req.extensions_mut().get_or_insert_default::<ResponseHeaders>();
    headers.into_iter().for_each(|(name, value)| promised.append(name, value));
}

/// Has guards and handlers leave the headers of the answer in the request's extensions, until they are
/// [added](add_promised).
pub(super) fn collect_promised(req: &mut Request) {
    req.extensions_mut().insert(ResponseHeaders::new());
}

pub(super) fn add_promised(req: &mut Request, res: &mut Response) {
    if let Some(promised) = req.extensions_mut().remove::<ResponseHeaders>() {
        promised.append_to(res.headers_mut());
    }
}
