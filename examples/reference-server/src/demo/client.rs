use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::DemoFailure;

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client of the API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
}

/// A request to the API.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) method: Method,
    pub(super) path: &'c str,
    pub(super) token: Option<&'c str>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) signature: Option<String>,
}

/// A response of the API.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// `METHOD /path`, for messages.
    pub(super) call: String,
    pub(super) status: u16,
    /// The body, or null if there was none.
    pub(super) body: Value,
    /// The body as bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: String,
}

impl Client {
    pub(super) fn new(base_url: &str) -> Result<Self, DemoFailure> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|source| {
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
        let bytes = answer.bytes().await.map_err(unreachable)?.to_vec();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        };
        Ok(Reply { call: name, status, body, bytes, content_type })
    }
}

impl Reply {
    /// Returns the body with secrets removed, for output.
    pub(super) fn without_secrets(&self) -> Value {
        without_secrets(&self.body)
    }

    /// Returns the body's bytes without the request id, in which equal refusals differ.
    pub(super) fn without_request_id(&self) -> Vec<u8> {
        let text = String::from_utf8_lossy(&self.bytes);
        match self.body["request_id"].as_str() {
            Some(id) => text.replace(id, "…").into_bytes(),
            None => self.bytes.clone(),
        }
    }
}

/// Replaces tokens under any name and depth, and the local parts of email addresses.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(_) if name.ends_with("token") => (name.clone(), "…".into()),
                other => (name.clone(), without_secrets(other)),
            })
            .collect(),
        Value::String(text) => match text.split_once('@') {
            Some((_, domain)) => format!("…@{domain}").into(),
            None => text.clone().into(),
        },
        Value::Bool(_) | Value::Null | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(text: &str) -> Reply {
        Reply {
            call: "GET /".to_owned(),
            status: 404,
            body: serde_json::from_str(text).unwrap(),
            bytes: text.as_bytes().to_vec(),
            content_type: "application/problem+json".to_owned(),
        }
    }

    #[test]
    fn printed_bodies_hold_no_tokens_and_no_local_parts() {
        let body = json!({
            "access_token": "a.b.c", "token_type": "bearer", "sent": true,
            "items": [{"email": "ada@example.org", "token": "secret", "role": "member"}],
        });
        assert_eq!(
            without_secrets(&body),
            json!({
                "access_token": "…", "token_type": "bearer", "sent": true,
                "items": [{"email": "…@example.org", "token": "…", "role": "member"}],
            })
        );
    }

    #[test]
    fn refusals_are_compared_without_the_request_id() {
        let refusal = reply(r#"{"code":"not-found","request_id":"1"}"#).without_request_id();
        assert_eq!(reply(r#"{"code":"not-found","request_id":"2"}"#).without_request_id(), refusal);
        for other in [
            r#"{"request_id":"2","code":"not-found"}"#,
            r#"{"code": "not-found","request_id":"2"}"#,
            r#"{"code":"not-found","request_id":"2","detail":"x"}"#,
        ] {
            assert_ne!(reply(other).without_request_id(), refusal, "{other}");
        }
    }
}
