//! Stripe's API, as far as the server changes something there. Asking it for subscriptions is
//! [`StripeClient`](mt_stripe::fetch::StripeClient)'s part.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::Secret;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The version that answers are rendered in; the same that subscriptions are asked for in.
const API_VERSION: &str = "2026-10-28.endive";
/// The longest word of an answer that is logged.
const MAX_WORD: usize = 100;

/// The API with a key. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct StripeApi {
    key: Secret,
    base: Url,
    http: reqwest::Client,
}

/// Something to be made at Stripe, as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct StripeRequest {
    /// What is asked for, in a word.
    pub(crate) operation: &'static str,
    path: &'static [&'static str],
    form: String,
}

impl StripeRequest {
    pub(super) fn new(
        operation: &'static str,
        path: &'static [&'static str],
        form: &[(&str, &str)],
    ) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Self { operation, path, form }
    }

    /// All that is sent, as one text.
    pub(crate) fn text(&self) -> String {
        format!("{}?{}", self.path.join("/"), self.form)
    }
}

impl StripeApi {
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub(crate) fn new(key: Secret, base: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { key, base, http })
    }

    /// Makes something. A request that is repeated under its `idempotency_key` makes no second one, and gets the
    /// answer that the first one got.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        request: &StripeRequest,
        idempotency_key: &str,
    ) -> Result<T, StripeApiError> {
        let call = self
            .call(Method::POST, request.path)
            .header("idempotency-key", idempotency_key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(request.form.clone());
        answer(call.send().await).await
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<T, StripeApiError> {
        answer(self.call(Method::GET, path).send().await).await
    }

    /// Ends something of a connected account, or of the own one if `account` is empty. Stripe needs no
    /// idempotency key for that.
    pub(super) async fn delete(&self, account: &str, path: &[&str]) -> Result<(), StripeApiError> {
        let mut call = self.call(Method::DELETE, path);
        if !account.is_empty() {
            call = call.header("stripe-account", account);
        }
        answer(call.send().await).await.map(|_: serde_json::Value| ())
    }

    fn call(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        // A base is http or https, which have paths.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        self.http
            .request(method, url)
            .bearer_auth(self.key.reveal())
            .header("stripe-version", API_VERSION)
    }
}

async fn answer<T: DeserializeOwned>(
    sent: Result<Response, reqwest::Error>,
) -> Result<T, StripeApiError> {
    let answer = sent.map_err(unreachable)?;
    if answer.status().is_success() {
        return answer.json().await.map_err(unreachable);
    }
    let status = answer.status().as_u16();
    let header = |name| word(answer.headers(), name);
    let (request_id, should_retry) = (header("request-id"), header("stripe-should-retry"));
    let told: Told = answer.json().await.unwrap_or_default();
    let Told { error: ToldError { code, r#type: kind, param } } = told;
    Err(StripeApiError::Refused(Refusal {
        status,
        kind: plain(kind),
        code: plain(code),
        param: plain(param),
        request_id,
        should_retry: should_retry.as_deref() == Some("true"),
    }))
}

fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    plain(headers.get(name)?.to_str().ok().map(str::to_owned))
}

/// A text that is short and plain enough for a log.
fn plain(text: Option<String>) -> Option<String> {
    text.filter(|text| text.len() <= MAX_WORD && text.bytes().all(|b| b.is_ascii_graphic()))
}

/// The body of a refusal. Its message may name what is secret, and is not read.
#[derive(Default, Deserialize)]
struct Told {
    error: ToldError,
}

#[derive(Default, Deserialize)]
struct ToldError {
    code: Option<String>,
    r#type: Option<String>,
    param: Option<String>,
}

fn unreachable(error: reqwest::Error) -> StripeApiError {
    StripeApiError::Unreachable(error.without_url())
}

/// What Stripe said in place of doing it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("stripe answered {status} ({})", self.word())]
pub(crate) struct Refusal {
    /// The status of the answer.
    pub(crate) status: u16,
    /// The type of the error.
    pub(crate) kind: Option<String>,
    /// Its code, where it has one.
    pub(crate) code: Option<String>,
    /// The parameter that it is about.
    pub(crate) param: Option<String>,
    /// What Stripe calls the request, for its support.
    pub(crate) request_id: Option<String>,
    should_retry: bool,
}

impl Refusal {
    fn word(&self) -> &str {
        self.code.as_deref().or(self.kind.as_deref()).unwrap_or("no code")
    }
}

/// Why Stripe has not done it. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripeApiError {
    /// Stripe refused it, or failed.
    #[error(transparent)]
    Refused(Refusal),
    /// Stripe did not answer, or not in time, or not in JSON: it may have been done.
    #[error("stripe could not be asked")]
    Unreachable(#[source] reqwest::Error),
}

impl StripeApiError {
    /// Whether the same request is under way under the same key: its answer is not known yet.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.as_deref() == Some("idempotency_key_in_use"))
    }

    /// Whether it is an answer to the request, which Stripe would repeat for a day to the same key.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_)) && !self.is_under_way()
    }

    /// The refusal, where asking again will be refused again: a wrong key, a wrong price, no portal. Not a
    /// failure of Stripe's, not a lock or a limit, and not a key that was used for another request.
    pub(crate) fn lasting(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => {
                let passes = matches!(refusal.status, 408 | 409 | 429 | 500..)
                    || refusal.should_retry
                    || refusal.kind.as_deref() == Some("idempotency_error");
                (!passes).then_some(refusal)
            }
            Self::Unreachable(_) => None,
        }
    }

    /// Whether what was named in the request, or its parameter `param`, does not exist (any more).
    pub(crate) fn is_missing(&self, param: Option<&str>) -> bool {
        let Self::Refused(Refusal { code, param: told, .. }) = self else { return false };
        code.as_deref() == Some("resource_missing") && (param.is_none() || told.as_deref() == param)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str, code: Option<&str>, should_retry: bool) -> StripeApiError {
        StripeApiError::Refused(Refusal {
            status,
            kind: Some(kind.to_owned()),
            code: code.map(str::to_owned),
            param: None,
            request_id: None,
            should_retry,
        })
    }

    #[test]
    fn what_waiting_cures_is_told_from_what_it_does_not() {
        let invalid = "invalid_request_error";
        for (error, lasting, answer) in [
            (refused(401, invalid, None, false), true, true),
            (refused(403, invalid, None, false), true, true),
            (refused(400, invalid, Some("resource_missing"), false), true, true),
            (refused(402, "card_error", None, false), true, true),
            (refused(302, "x", None, false), true, true),
            (refused(400, "idempotency_error", None, false), false, true),
            (refused(409, invalid, Some("lock_timeout"), false), false, true),
            (refused(409, invalid, Some("idempotency_key_in_use"), false), false, false),
            (refused(429, invalid, Some("rate_limit"), false), false, true),
            (refused(500, "api_error", None, false), false, true),
            (refused(400, invalid, None, true), false, true),
        ] {
            assert_eq!(error.lasting().is_some(), lasting, "{error:?}");
            assert_eq!(error.is_answer(), answer, "{error:?}");
        }
    }
}
