//! The fetcher over Stripe's HTTP API.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;

use super::{CustomerName, FetchError, Listed, SubscriptionFetcher, SubscriptionName};
use crate::client::{StripeClient, StripeError};
use crate::json::word;
use crate::known::Answer;
use crate::subscription::Subscription;

/// How long one request may take. An attempt at an event has a lease of 30 seconds by default.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How many pages of items are requested. Stripe allows 20 items, and a page holds 100.
const MAX_PAGES: usize = 2;
/// How many lists of 100 subscriptions a customer may have.
const MAX_LISTS: usize = 50;

impl StripeClient {
    /// Makes one GET. The object of the page is null if Stripe knows no such object.
    async fn page(
        &self,
        account: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Page, FetchError> {
        let request = self.request(Method::GET, account, path, query)?.timeout(TIMEOUT);
        let (object, date) = match self.send(request).await {
            Ok(answer) => (answer.json()?, answer.date),
            // 400 for a parameter that names it, 404 for a path.
            Err(StripeError::Refused(refusal))
                if matches!(refusal.status, 400 | 404)
                    && refusal.code.as_deref() == Some("resource_missing") =>
            {
                (Value::Null, refusal.date)
            }
            Err(error) => return Err(error.into()),
        };
        let at = date.ok_or_else(|| unavailable("no date in the answer"))?;
        Ok(Page { object, at })
    }

    /// Adds the items that the answer left out.
    async fn complete(&self, account: &str, id: &str, page: &mut Page) -> Result<(), FetchError> {
        for _ in 0..MAX_PAGES {
            let Some(last) = last_of_more(&page.object) else { return Ok(()) };
            let query = [("subscription", id), ("limit", "100"), ("starting_after", last.as_str())];
            let mut next = self.page(account, &["subscription_items"], &query).await?;
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

    /// Reads one subscription of a list, with all of its items.
    async fn listed(
        &self,
        customer: &CustomerName<'_>,
        mut page: Page,
    ) -> Result<Listed, FetchError> {
        let other = || unavailable("the list is about something else");
        let id = page.object.get("id").and_then(word).ok_or_else(other)?.to_owned();
        self.complete(customer.account, &id, &mut page).await?;
        let livemode = page.object.get("livemode").and_then(Value::as_bool).unwrap_or(false);
        let subscription = Subscription::from_object(&page.object)
            .filter(|found| found.customer.as_deref() == Some(customer.id))
            .ok_or_else(other)?;
        Ok(Listed { livemode, subscription, at: page.at })
    }
}

#[async_trait]
impl SubscriptionFetcher for StripeClient {
    async fn fetch(&self, name: &SubscriptionName<'_>) -> Result<Answer, FetchError> {
        let mut page = self.page(name.account, &["subscriptions", name.id], &[]).await?;
        if page.object.is_null() {
            return Ok(Answer { subscription: None, at: page.at });
        }
        self.complete(name.account, name.id, &mut page).await?;
        let mode = page.object.get("livemode").and_then(Value::as_bool);
        if mode.is_some_and(|livemode| livemode != name.livemode) {
            let code = "the key is of the other mode".to_owned();
            let (status, kind, request_id) = (200, None, None);
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
            let mut page = self.page(customer.account, &["subscriptions"], &query).await?;
            let is_last = page.object.get("has_more").and_then(Value::as_bool) != Some(true);
            let found = match page.object.get_mut("data").map(Value::take) {
                Some(Value::Array(found)) => found,
                // Stripe knows no such customer.
                None if page.object.is_null() => Vec::new(),
                _ => return Err(unavailable("the answer is not a list")),
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

fn unavailable(why: &str) -> FetchError {
    let source: Box<dyn Error + Send + Sync> = why.into();
    FetchError::Unavailable { retry_after: None, source }
}

impl From<StripeError> for FetchError {
    fn from(error: StripeError) -> Self {
        let refusal = match error {
            StripeError::Refused(refusal) => refusal,
            StripeError::Unavailable(source) => {
                return Self::Unavailable { retry_after: None, source };
            }
        };
        let (retry_after, code) = (refusal.retry_after, refusal.word().to_owned());
        match refusal.status {
            // A conflict is another request's lock on the object.
            429 | 409 => Self::RateLimited { retry_after },
            status if matches!(status, 408 | 500..) || refusal.should_retry => {
                Self::Unavailable { retry_after, source: code.into() }
            }
            status => {
                Self::Refused { status, code, kind: refusal.kind, request_id: refusal.request_id }
            }
        }
    }
}
