//! Errors of Stripe's API.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// The longest word of an answer that is kept.
const MAX_WORD: usize = 100;
/// The longest wait that is accepted from Stripe.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Why a call to Stripe failed. No text holds the key or a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StripeError {
    /// Stripe refused the call, or failed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Stripe did not answer, or not in time, or not in JSON. The call may have had its effect: repeat it under the
    /// same idempotency key.
    #[error("stripe could not be asked")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// An answer of Stripe that is an error. Its message may name what is secret, and is not read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("stripe answered {status} ({})", self.word())]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// The type of the error, which is broader than its code.
    pub kind: Option<String>,
    /// Stripe's code of the error.
    pub code: Option<String>,
    /// The parameter that the error is about.
    pub param: Option<String>,
    /// Stripe's identifier of the request, for its support.
    pub request_id: Option<String>,
    /// How long Stripe asks to wait before the next call.
    pub retry_after: Option<Duration>,
    /// Whether Stripe asks to repeat the call.
    pub should_retry: bool,
    /// When Stripe made the answer, by Stripe's clock.
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Refusal {
    pub(super) fn read(
        status: u16,
        date: Option<DateTime<Utc>>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name| plain(error.pointer(name)?.as_str()?);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = retry_after.and_then(|seconds| seconds.trim().parse().ok());
        Self {
            status,
            kind: field("/error/type"),
            code: field("/error/code"),
            param: field("/error/param"),
            request_id: header("request-id").and_then(plain),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
            should_retry: header("stripe-should-retry") == Some("true"),
            date,
        }
    }

    /// The code of the error, or else its type.
    #[must_use]
    pub fn word(&self) -> &str {
        self.code.as_deref().or(self.kind.as_deref()).unwrap_or("no code")
    }
}

/// A text that is short and plain enough for a log.
fn plain(text: &str) -> Option<String> {
    let is_plain = text.len() <= MAX_WORD && text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !text.is_empty()).then(|| text.to_owned())
}

impl StripeError {
    /// Whether a call with the same idempotency key is under way: its answer is not known yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.as_deref() == Some("idempotency_key_in_use"))
    }

    /// Whether it is the answer to the call, which Stripe would repeat for a day to the same idempotency key.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_)) && !self.is_under_way()
    }

    /// The refusal, if repeating the call would be refused again: a wrong key, a wrong price, no portal. Not a failure
    /// of Stripe's, not a lock or a limit, and not a key that was used for another request.
    #[must_use]
    pub fn lasting(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => {
                let passes = matches!(refusal.status, 408 | 409 | 429 | 500..)
                    || refusal.should_retry
                    || refusal.kind.as_deref() == Some("idempotency_error");
                (!passes).then_some(&**refusal)
            }
            Self::Unavailable(_) => None,
        }
    }

    /// Whether the object of the call, or of its parameter `param`, does not exist.
    #[must_use]
    pub fn is_missing(&self, param: Option<&str>) -> bool {
        let Self::Refused(refusal) = self else { return false };
        refusal.code.as_deref() == Some("resource_missing")
            && (param.is_none() || refusal.param.as_deref() == param)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str, code: Option<&str>, should_retry: bool) -> StripeError {
        StripeError::Refused(Box::new(Refusal {
            status,
            kind: Some(kind.to_owned()),
            code: code.map(str::to_owned),
            param: None,
            request_id: None,
            retry_after: None,
            should_retry,
            date: None,
        }))
    }

    #[test]
    fn a_lasting_refusal_is_told_from_one_that_passes() {
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

    #[test]
    fn words_of_an_answer_are_kept_only_if_a_log_can_show_them() {
        let read = |code: &str| {
            let body = serde_json::json!({"error": {"type": "api_error", "code": code}});
            Refusal::read(500, None, &HeaderMap::new(), body.to_string().as_bytes())
        };
        assert_eq!(read("lock_timeout").word(), "lock_timeout");
        for unfit in ["", "two words", "line\nbreak", &"x".repeat(101)] {
            assert_eq!(read(unfit).word(), "api_error", "{unfit:?}");
        }
        assert_eq!(Refusal::read(500, None, &HeaderMap::new(), b"<html>").word(), "no code");
    }
}
