use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::DemoFailure;

const PATIENCE: Duration = Duration::from_secs(20);

/// A client of the API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
}

/// A request, in the words of the API.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) method: Method,
    pub(super) path: &'c str,
    pub(super) token: Option<&'c str>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) signature: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// `METHOD /path`, for messages.
    pub(super) call: String,
    pub(super) status: u16,
    /// The body, or null if there was none.
    pub(super) body: Value,
    pub(super) content_type: String,
}

impl Client {
    pub(super) fn new(base_url: &str) -> Result<Self, DemoFailure> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|source| {
            DemoFailure::Unreachable { step: "making an HTTP client".to_owned(), source }
        })?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn call(&self, call: Call<'_>) -> Result<Reply, DemoFailure> {
        let name = format!("{} {}", call.method, call.path);
        let unreachable = |source| DemoFailure::Unreachable { step: name.clone(), source };
        let mut request = self.http.request(call.method, format!("{}{}", self.base_url, call.path));
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(signature) = call.signature {
            request = request.header("stripe-signature", signature);
        }
        if let Some(body) = call.body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        };
        Ok(Reply { call: name, status, body, content_type })
    }
}

impl Reply {
    /// The body without what must not be printed, and without what differs from one request to the
    /// next.
    pub(super) fn without_secrets(&self) -> Value {
        let mut body = self.body.clone();
        if let Value::Object(members) = &mut body {
            for secret in ["token", "access_token"] {
                if let Some(value) = members.get_mut(secret) {
                    *value = Value::String("…".to_owned());
                }
            }
        }
        body
    }
}
