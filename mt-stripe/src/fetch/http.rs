//! The fetcher over Stripe's HTTP API.
//!
//! Plain requests, typed as narrowly as the rest of this crate reads: the client crates for Rust decode
//! whole objects strictly, which fails when a field moves, and drop the headers that this needs
//! (`Date`, `Retry-After`).

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;

use super::{CustomerName, FetchError, Listed, SubscriptionFetcher, SubscriptionName};
use crate::json::word;
use crate::known::Answer;
use crate::subscription::Subscription;

/// Where Stripe is.
const BASE: &str = "https://api.stripe.com";
/// The version that answers are rendered in. Any would do; one that is pinned does not change by itself.
const API_VERSION: &str = "2026-10-28.endive";
/// How long one request may take. An attempt at an event has a lease of 30 seconds by default.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest answer, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How many pages of items are asked for. Stripe allows 20 items, and a page holds 100.
const MAX_PAGES: usize = 2;
/// How many lists of 100 subscriptions a customer may have.
const MAX_LISTS: usize = 50;
/// The longest name of a request that is kept.
const MAX_REQUEST_ID: usize = 100;
/// The longest that Stripe is believed to want to be left alone for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Asks Stripe. Cheap to clone; `Debug` does not show the key.
///
/// ```
/// use mt_stripe::fetch::StripeClient;
///
/// let client = StripeClient::new("rk_live_that_may_read_subscriptions")?;
/// assert!(!format!("{client:?}").contains("rk_live"));
/// assert!(StripeClient::new("sk_copied_with_a_newline\n").is_err());
/// # Ok::<(), mt_stripe::fetch::StripeClientError>(())
/// ```
#[derive(Clone)]
pub struct StripeClient {
    http: Client,
    key: HeaderValue,
    base: Url,
}

impl StripeClient {
    /// With a secret key, or a restricted one that may read subscriptions.
    ///
    /// # Errors
    ///
    /// [`StripeClientError`]: the key cannot be one, or there is no TLS.
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
            .timeout(PATIENCE)
            .build()
            .map_err(|error| StripeClientError::Tls(error.into()))?;
        Ok(Self { http, key, base: Url::parse(BASE).expect("the address is one") })
    }

    /// Somewhere else than at Stripe: for a stand-in in tests.
    ///
    /// # Errors
    ///
    /// [`StripeClientError::Base`] when the key would travel unencrypted to another machine.
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

    /// One GET. The page is null where Stripe knows no such object.
    async fn get(
        &self,
        account: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Page, FetchError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| unavailable("not an address"))?.extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .http
            .get(url)
            .header(AUTHORIZATION, self.key.clone())
            .header("stripe-version", API_VERSION);
        if !account.is_empty() {
            request = request.header("stripe-account", account);
        }
        let answer = request.send().await.map_err(broken)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer).await?;
        let object = if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| FetchError::Unavailable {
                retry_after: None,
                source: error.into(),
            })?
        } else if let Some(error) = refusal(status, &headers, &body) {
            return Err(error);
        } else {
            Value::Null
        };
        let at = date(&headers).ok_or_else(|| unavailable("no date in the answer"))?;
        Ok(Page { object, at })
    }

    /// Puts the items that the answer left out to those that it shows.
    async fn complete(&self, account: &str, id: &str, page: &mut Page) -> Result<(), FetchError> {
        for _ in 0..MAX_PAGES {
            let Some(last) = last_of_more(&page.object) else { return Ok(()) };
            let query = [("subscription", id), ("limit", "100"), ("starting_after", last.as_str())];
            let mut next = self.get(account, &["v1", "subscription_items"], &query).await?;
            page.at = page.at.max(next.at);
            let more = next.object.pointer_mut("/has_more").map_or(Value::Null, Value::take);
            let rest = next.object.pointer_mut("/data").map_or(Value::Null, Value::take);
            if let Some(shown) = page.object.pointer_mut("/items/has_more") {
                *shown = more;
            }
            let shown = page.object.pointer_mut("/items/data").and_then(Value::as_array_mut);
            if let (Some(shown), Value::Array(rest)) = (shown, rest) {
                shown.extend(rest);
            }
        }
        Ok(())
    }

    /// One of a list, with all of its items.
    async fn listed(
        &self,
        customer: &CustomerName<'_>,
        mut page: Page,
    ) -> Result<Listed, FetchError> {
        let somebody_elses = || unavailable("the list is about something else");
        let id = page.object.get("id").and_then(word).ok_or_else(somebody_elses)?.to_owned();
        self.complete(customer.account, &id, &mut page).await?;
        let livemode = page.object.get("livemode").and_then(Value::as_bool).unwrap_or(false);
        let subscription = Subscription::from_object(&page.object)
            .filter(|found| found.customer.as_deref() == Some(customer.id))
            .ok_or_else(somebody_elses)?;
        Ok(Listed { livemode, subscription, at: page.at })
    }
}

#[async_trait]
impl SubscriptionFetcher for StripeClient {
    async fn fetch(&self, name: &SubscriptionName<'_>) -> Result<Answer, FetchError> {
        let mut page = self.get(name.account, &["v1", "subscriptions", name.id], &[]).await?;
        if page.object.is_null() {
            return Ok(Answer { subscription: None, at: page.at });
        }
        self.complete(name.account, name.id, &mut page).await?;
        let mode = page.object.get("livemode").and_then(Value::as_bool);
        if mode.is_some_and(|livemode| livemode != name.livemode) {
            let code = "the key is of the other mode".to_owned();
            let (status, kind, request_id) = (StatusCode::OK.as_u16(), None, None);
            return Err(FetchError::Refused { status, code, kind, request_id });
        }
        let subscription = Subscription::from_object(&page.object)
            .filter(|subscription| subscription.id == name.id)
            .ok_or_else(|| unavailable("the answer is about something else"))?;
        Ok(Answer { subscription: Some(subscription), at: page.at })
    }

    async fn fetch_all_of(&self, customer: &CustomerName<'_>) -> Result<Vec<Listed>, FetchError> {
        let mut all = Vec::new();
        let mut last = String::new();
        for _ in 0..MAX_LISTS {
            let mut query = vec![("customer", customer.id), ("status", "all"), ("limit", "100")];
            if !last.is_empty() {
                query.push(("starting_after", &last));
            }
            let mut page = self.get(customer.account, &["v1", "subscriptions"], &query).await?;
            let is_last = page.object.get("has_more").and_then(Value::as_bool) != Some(true);
            let found = match page.object.get_mut("data").map(Value::take) {
                Some(Value::Array(found)) => found,
                // Stripe knows no such customer.
                None if page.object.is_null() => Vec::new(),
                _ => return Err(unavailable("the answer is no list")),
            };
            for object in found {
                let listed = self.listed(customer, Page { object, at: page.at }).await?;
                last.clone_from(&listed.subscription.id);
                all.push(listed);
            }
            if is_last {
                return Ok(all);
            }
        }
        Err(unavailable("the list does not end"))
    }
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeClient").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

struct Page {
    object: Value,
    at: DateTime<Utc>,
}

/// The last item that `subscription` shows, where it says that there are more.
fn last_of_more(subscription: &Value) -> Option<String> {
    let more = subscription.pointer("/items/has_more").and_then(Value::as_bool) == Some(true);
    let shown = subscription.pointer("/items/data").and_then(Value::as_array)?;
    shown.last().and_then(|item| word(item.get("id")?)).filter(|_| more).map(str::to_owned)
}

/// The body, as far as it is not too long.
async fn read(mut answer: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(unavailable("the answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an answer that is none says; `None` when it says that there is no such object.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<FetchError> {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = ["/error/code", "/error/type"].iter().find_map(|at| word(told.pointer(at)?));
    let code = code.unwrap_or("no code").to_owned();
    let retry_after = retry_after(headers);
    let should_retry = headers.get("stripe-should-retry").is_some_and(|value| value == "true");
    Some(match status {
        // 400 for a parameter that names it, 404 for a path.
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if code == "resource_missing" => {
            return None;
        }
        // A conflict is another request's lock on the object.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => {
            FetchError::RateLimited { retry_after }
        }
        StatusCode::REQUEST_TIMEOUT => unavailable_for(retry_after, &code),
        status if status.is_server_error() || should_retry => unavailable_for(retry_after, &code),
        status => FetchError::Refused {
            status: status.as_u16(),
            code,
            kind: told.pointer("/error/type").and_then(word).map(str::to_owned),
            request_id: headers
                .get("request-id")
                .and_then(|id| id.to_str().ok())
                .filter(|id| id.len() <= MAX_REQUEST_ID)
                .map(str::to_owned),
        },
    })
}

/// Whole seconds, which is how Stripe says it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(date.with_timezone(&Utc))
}

fn broken(error: reqwest::Error) -> FetchError {
    FetchError::Unavailable { retry_after: None, source: error.without_url().into() }
}

fn unavailable(why: &str) -> FetchError {
    unavailable_for(None, why)
}

fn unavailable_for(retry_after: Option<Duration>, why: &str) -> FetchError {
    let source: Box<dyn Error + Send + Sync> = why.into();
    FetchError::Unavailable { retry_after, source }
}

/// Why there is no client. None of the texts holds the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StripeClientError {
    /// Neither HTTPS nor on this machine.
    #[error("the address of a stand-in must be https, or http on this machine")]
    Base,
    /// The key is empty, or holds something that no key has.
    #[error("the secret key is blank or holds white space")]
    Key,
    /// TLS could not be set up.
    #[error("tls could not be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}
