//! A client of Stripe's HTTP API.
//!
//! Plain requests, typed as narrowly as the rest of this crate reads: the client crates for Rust decode whole objects
//! strictly, which fails when a field moves, and drop the headers that this needs (`Date`, `Retry-After`).

mod error;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

pub use self::error::{Refusal, StripeError};
use crate::API_VERSION;

const BASE: &str = "https://api.stripe.com";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Calls Stripe's API with a key. Cheap to clone; `Debug` does not show the key.
///
/// ```
/// use mt_stripe::client::StripeClient;
///
/// let client = StripeClient::new("rk_live_that_may_read_subscriptions")?;
/// assert!(!format!("{client:?}").contains("rk_live"));
/// assert!(StripeClient::new("sk_copied_with_a_newline\n").is_err());
/// # Ok::<(), mt_stripe::client::StripeClientError>(())
/// ```
#[derive(Clone)]
pub struct StripeClient {
    http: Client,
    key: HeaderValue,
    base: Url,
}

/// A request that makes an object at Stripe.
#[derive(Clone, Debug)]
pub struct StripeRequest {
    operation: &'static str,
    path: &'static [&'static str],
    form: String,
}

impl StripeRequest {
    /// A request of `operation`, a word of the application, to the path below `/v1`, with these form fields.
    #[must_use]
    pub fn new(
        operation: &'static str,
        path: &'static [&'static str],
        form: &[(&str, &str)],
    ) -> Self {
        // The query of a URL and a form have the same encoding.
        let mut url = Url::parse(BASE).expect("the address is valid");
        url.query_pairs_mut().extend_pairs(form);
        Self { operation, path, form: url.query().unwrap_or_default().to_owned() }
    }

    /// The application's word for it.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Everything that is sent, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}?{}", self.path.join("/"), self.form)
    }
}

/// A successful answer.
pub(crate) struct Answer {
    /// When Stripe made it, by Stripe's clock.
    pub(crate) date: Option<DateTime<Utc>>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, StripeError> {
        serde_json::from_slice(&self.body).map_err(|error| StripeError::Unavailable(error.into()))
    }
}

impl StripeClient {
    /// A client with a secret key, or with a restricted one that may do what it is used for.
    ///
    /// # Errors
    ///
    /// [`StripeClientError`]: the key is not valid, or TLS cannot be set up.
    pub fn new(key: &str) -> Result<Self, StripeClientError> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StripeClientError::Key);
        }
        let mut key =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| StripeClientError::Key)?;
        key.set_sensitive(true);
        let http = Client::builder()
            .user_agent(concat!("mt-stripe/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| StripeClientError::Tls(error.into()))?;
        Ok(Self { http, key, base: Url::parse(BASE).expect("the address is valid") })
    }

    /// Calls another address than Stripe's: a stand-in for tests.
    ///
    /// # Errors
    ///
    /// [`StripeClientError::Base`] if the key would travel unencrypted to another machine.
    pub fn with_base(mut self, base: &str) -> Result<Self, StripeClientError> {
        let base = Url::parse(base).map_err(|_| StripeClientError::Base)?;
        let here = base.host_str().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        match base.scheme() {
            "https" => {}
            "http" if here => {}
            _ => return Err(StripeClientError::Base),
        }
        self.base = base;
        Ok(self)
    }

    /// Reads an object at a path below `/v1`.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, StripeError> {
        self.send(self.request(Method::GET, "", path, &[])?).await?.json()
    }

    /// Makes an object. A request that is repeated under its `idempotency_key` makes no second one, and gets the answer
    /// that the first one got.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        request: &StripeRequest,
        idempotency_key: &str,
    ) -> Result<T, StripeError> {
        let call = self
            .request(Method::POST, "", request.path, &[])?
            .header("idempotency-key", idempotency_key)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(request.form.clone());
        self.send(call).await?.json()
    }

    /// Deletes an object of a connected account, or of the platform's own if `account` is empty. Stripe needs no
    /// idempotency key for that.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn delete(&self, account: &str, path: &[&str]) -> Result<(), StripeError> {
        let call = self.request(Method::DELETE, account, path, &[])?;
        self.send(call).await?.json::<serde_json::Value>().map(drop)
    }

    /// A request of `account`, the platform's own if it is empty.
    pub(crate) fn request(
        &self,
        method: Method,
        account: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, StripeError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| StripeError::Unavailable("the address has no path".into()))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.key.clone())
            .header("stripe-version", API_VERSION);
        Ok(if account.is_empty() { request } else { request.header("stripe-account", account) })
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, StripeError> {
        let answer = request.send().await.map_err(broken)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer).await?;
        if status.is_success() {
            Ok(Answer { date: date(&headers), body })
        } else {
            let refusal = Refusal::read(status.as_u16(), date(&headers), &headers, &body);
            Err(StripeError::Refused(Box::new(refusal)))
        }
    }
}

/// The body, up to the longest that is accepted.
async fn read(mut answer: Response) -> Result<Vec<u8>, StripeError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(StripeError::Unavailable("the answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(date.with_timezone(&Utc))
}

fn broken(error: reqwest::Error) -> StripeError {
    StripeError::Unavailable(error.without_url().into())
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeClient").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Why a client was not made. No text holds the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StripeClientError {
    /// The address is neither HTTPS nor on this machine.
    #[error("the address of a stand-in must be https, or http on this machine")]
    Base,
    /// The key is empty, or holds a character that no key has.
    #[error("the secret key is blank or holds white space")]
    Key,
    /// TLS could not be set up.
    #[error("tls could not be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}
