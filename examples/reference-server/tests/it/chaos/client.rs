//! A client that sends the kinds of requests of the load.

use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_stripe::signature::sign;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::SECRET;

/// Longer than any request may take: the server gives up before.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The failure of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// 503: the server is temporarily unable to answer.
    Unavailable,
    /// The connection failed, or the server did not answer.
    Broken(String),
    /// Any other unexpected answer.
    Refused(u16, String),
}

/// An org with a project, as its owner sees it.
#[derive(Clone, Debug)]
pub(super) struct Org {
    pub(super) token: String,
    pub(super) path: String,
    pub(super) tasks: String,
}

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
}

impl Client {
    pub(super) fn new(base_url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
        Self { http, base_url: base_url.to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url))
    }

    async fn send(&self, request: RequestBuilder, wanted: u16) -> Result<Value, Failure> {
        let broken = |error: reqwest::Error| Failure::Broken(format!("{error:?}"));
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(broken)?;
        if status == wanted {
            return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        Err(if status == 503 { Failure::Unavailable } else { Failure::Refused(status, text) })
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path).bearer_auth(token), 200).await
    }

    /// Makes something and returns its id. `key` is the request's `Idempotency-Key`.
    pub(super) async fn create(
        &self,
        path: &str,
        token: &str,
        body: Value,
        key: Option<&str>,
    ) -> Result<String, Failure> {
        let mut request = self.request(Method::POST, path).bearer_auth(token).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let made = self.send(request, 201).await?;
        Ok(made["id"].as_str().unwrap().to_owned())
    }

    /// Delivers an event as Stripe does.
    pub(super) async fn deliver(&self, event: &Value) -> Result<(), Failure> {
        let body = event.to_string();
        let signature = sign(SECRET, body.as_bytes(), SystemClock.now());
        let request = self.request(Method::POST, "/webhooks/stripe").body(body);
        self.send(request.header("stripe-signature", signature), 200).await.map(drop)
    }

    pub(super) async fn request_link(&self, email: &str) -> Result<String, Failure> {
        let body = json!({"email": email});
        let sent =
            self.send(self.request(Method::POST, "/auth/request-link").json(&body), 202).await?;
        Ok(sent["token"].as_str().unwrap().to_owned())
    }

    pub(super) async fn redeem(&self, link: &str) -> Result<String, Failure> {
        let body = json!({"token": link});
        let redeemed =
            self.send(self.request(Method::POST, "/auth/redeem").json(&body), 200).await?;
        Ok(redeemed["access_token"].as_str().unwrap().to_owned())
    }

    /// A new user with an org and a project in it.
    pub(super) async fn org(&self, email: &str) -> Org {
        let token = self.redeem(&self.request_link(email).await.unwrap()).await.unwrap();
        let id = self.create("/orgs", &token, json!({"name": "An org"}), None).await.unwrap();
        let path = format!("/orgs/{id}");
        let projects = format!("{path}/projects");
        let id = self.create(&projects, &token, json!({"name": "A project"}), None).await.unwrap();
        Org { token, tasks: format!("{projects}/{id}/tasks"), path }
    }
}
