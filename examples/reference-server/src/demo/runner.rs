use std::io::Write;

use chrono::{DateTime, Utc};
use mt_core::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::Value;

use super::DemoFailure;
use super::client::{Call, Client, Reply};

/// Runs the demo's requests, checks the responses and prints what they show.
pub(super) struct Runner<'o> {
    client: Client,
    secret: Option<String>,
    out: &'o mut (dyn Write + Send),
    steps: usize,
    /// Makes the addresses and events of this run unique.
    run: String,
}

/// A response that is not checked yet.
#[must_use = "check the response with `shows` or `refuses`"]
pub(super) struct Unchecked<'s, 'o> {
    runner: &'s mut Runner<'o>,
    reply: Reply,
}

impl<'o> Runner<'o> {
    pub(super) fn new(
        client: Client,
        secret: Option<String>,
        out: &'o mut (dyn Write + Send),
    ) -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        Self { client, secret, out, steps: 0, run }
    }

    pub(super) fn section(&mut self, title: &str) -> Result<(), DemoFailure> {
        Ok(writeln!(self.out, "\n{title}")?)
    }

    pub(super) fn summary(&mut self) -> Result<(), DemoFailure> {
        Ok(writeln!(self.out, "\nAll {} steps passed.", self.steps)?)
    }

    /// Returns an address that is unique to this run.
    pub(super) fn email(&self, name: &str) -> String {
        format!("{name}-{}@demo.example", &self.run)
    }

    /// Returns an event id that is unique to this run.
    pub(super) fn event_id(&self, name: &str) -> String {
        format!("evt_demo_{name}_{}", &self.run)
    }

    pub(super) const fn checks_signatures(&self) -> bool {
        self.secret.is_some()
    }

    /// Returns the current time, at which a signature is made.
    #[expect(clippy::unused_self, reason = "the runner has the only clock")]
    pub(super) fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    pub(super) async fn get<'s>(
        &'s mut self,
        path: &str,
        token: Option<&str>,
    ) -> Result<Unchecked<'s, 'o>, DemoFailure> {
        self.send(Method::GET, path, token, None).await
    }

    pub(super) async fn post<'s>(
        &'s mut self,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> Result<Unchecked<'s, 'o>, DemoFailure> {
        self.send(Method::POST, path, token, Some(body)).await
    }

    pub(super) async fn send<'s>(
        &'s mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<Unchecked<'s, 'o>, DemoFailure> {
        let body = body.map(|body| body.to_string().into_bytes());
        let call = Call { method, path, token, body, signature: None };
        let reply = self.client.call(call).await?;
        Ok(Unchecked { runner: self, reply })
    }

    /// Delivers an event as Stripe does, signed with `secret` if given.
    pub(super) async fn deliver<'s>(
        &'s mut self,
        event: &Value,
        secret: Option<&str>,
    ) -> Result<Unchecked<'s, 'o>, DemoFailure> {
        let body = event.to_string().into_bytes();
        let signature = secret.map(|secret| mt_stripe::signature::sign(secret, &body, self.now()));
        let call = Call {
            method: Method::POST,
            path: "/webhooks/stripe",
            token: None,
            body: Some(body),
            signature,
        };
        let reply = self.client.call(call).await?;
        Ok(Unchecked { runner: self, reply })
    }

    /// Returns the webhook secret of the server, if it has one.
    pub(super) fn secret(&self) -> Option<String> {
        self.secret.clone()
    }
}

impl Unchecked<'_, '_> {
    /// Checks the status and prints what it shows.
    pub(super) fn shows(self, status: u16, proves: &str) -> Result<Value, DemoFailure> {
        let Self { runner, reply } = self;
        if reply.status != status {
            return Err(unexpected(&reply, format!("{status}: {proves}")));
        }
        if status >= 400 && reply.content_type != "application/problem+json" {
            return Err(unexpected(&reply, "a problem document".to_owned()));
        }
        runner.steps += 1;
        writeln!(runner.out, "  ✓ {:<36} {status}  {proves}", reply.brief())?;
        Ok(reply.body)
    }

    /// Checks for a refusal with this code and prints what it shows.
    pub(super) fn refuses(
        self,
        status: u16,
        code: &str,
        proves: &str,
    ) -> Result<Value, DemoFailure> {
        if self.reply.body["code"] != code {
            return Err(unexpected(&self.reply, format!("{status} `{code}`: {proves}")));
        }
        self.shows(status, proves)
    }

    /// Checks that the body has the bytes of an earlier response, returned by [`Unchecked::bytes`].
    pub(super) fn has_the_bytes(self, earlier: &[u8]) -> Result<Self, DemoFailure> {
        if self.reply.without_request_id() == earlier {
            return Ok(self);
        }
        let earlier = String::from_utf8_lossy(earlier);
        Err(unexpected(&self.reply, format!("the same bytes as before: {earlier}")))
    }

    /// Returns the body without the request id.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.reply.without_request_id()
    }

    /// Checks that a member of the body is `value`, in addition to [`shows`](Self::shows).
    pub(super) fn has(self, pointer: &str, value: &Value) -> Result<Self, DemoFailure> {
        if self.reply.body.pointer(pointer) == Some(value) {
            Ok(self)
        } else {
            Err(unexpected(&self.reply, format!("`{pointer}` to be {value}")))
        }
    }
}

impl Reply {
    /// Returns the request, with ids and queries shortened.
    fn brief(&self) -> String {
        let (path, query) = self.call.split_once('?').map_or((&*self.call, ""), |(p, _)| (p, "?…"));
        let segments: Vec<&str> = path
            .split('/')
            .map(|segment| if uuid::Uuid::try_parse(segment).is_ok() { "…" } else { segment })
            .collect();
        segments.join("/") + query
    }
}

/// Returns a member of a body as text.
pub(super) fn text(body: &Value, pointer: &str) -> Result<String, DemoFailure> {
    body.pointer(pointer).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        DemoFailure::Unexpected {
            step: "reading a response".to_owned(),
            expected: format!("a text at `{pointer}`"),
            got: "none".to_owned(),
        }
    })
}

fn unexpected(reply: &Reply, expected: String) -> DemoFailure {
    DemoFailure::Unexpected {
        step: reply.call.clone(),
        expected,
        got: format!("{} {}", reply.status, reply.without_secrets()),
    }
}
