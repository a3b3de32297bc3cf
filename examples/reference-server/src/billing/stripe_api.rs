//! Stripe's API, as far as the server changes something there. Asking it is
//! [`StripeClient`](mt_stripe::fetch::StripeClient)'s part.

use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::Secret;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The version that answers are rendered in; the same that subscriptions are asked for in.
const API_VERSION: &str = "2026-10-28.endive";

/// The API with a key. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct StripeApi {
    key: Secret,
    base: Url,
    http: reqwest::Client,
}

impl StripeApi {
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub(super) fn new(key: Secret, base: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { key, base, http })
    }

    /// Makes something. Asking again under the same `idempotency_key` makes no second one, and answers
    /// what was answered before.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        idempotency_key: &str,
        form: &[(&str, &str)],
    ) -> Result<T, StripeApiError> {
        let mut url = self.base.clone();
        // A base is http or https, which have paths.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = self
            .http
            .post(url)
            .bearer_auth(self.key.reveal())
            .header("idempotency-key", idempotency_key)
            .header("stripe-version", API_VERSION)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(unreachable);
        }
        let told: Refusal = answer.json().await.unwrap_or_default();
        let code = told.error.code.or(told.error.r#type).unwrap_or_else(|| "no code".to_owned());
        Err(StripeApiError::Refused { status: status.as_u16(), code })
    }
}

/// What Stripe says when it says no. Its message may name what is secret, and is not read.
#[derive(Default, Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Default, Deserialize)]
struct RefusalError {
    code: Option<String>,
    r#type: Option<String>,
}

fn unreachable(error: reqwest::Error) -> StripeApiError {
    StripeApiError::Unreachable(error.without_url())
}

/// Why Stripe has not done it. For the log; a client is told to try again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripeApiError {
    /// Stripe said no.
    #[error("stripe answered {status} ({code})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Stripe's word for it.
        code: String,
    },
    /// Stripe did not answer, or not in time, or not in JSON.
    #[error("stripe could not be asked")]
    Unreachable(#[source] reqwest::Error),
}
