use std::io::Write;

use chrono::{DateTime, Utc};
use mt_core::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::Value;

use super::DemoFailure;
use super::client::{Call, Client, Reply};

/// Where the story is told: makes the requests, checks the answers and says what they prove.
pub(super) struct Stage<'o> {
    client: Client,
    secret: Option<String>,
    out: &'o mut (dyn Write + Send),
    steps: usize,
    /// Tells this run's addresses and events from those of others.
    run: String,
}

/// An answer that has not been looked at yet.
#[must_use = "an answer that is not checked proves nothing"]
pub(super) struct Shown<'s, 'o> {
    stage: &'s mut Stage<'o>,
    reply: Reply,
}

impl<'o> Stage<'o> {
    pub(super) fn new(
        client: Client,
        secret: Option<String>,
        out: &'o mut (dyn Write + Send),
    ) -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        Self { client, secret, out, steps: 0, run }
    }

    pub(super) fn chapter(&mut self, title: &str) -> Result<(), DemoFailure> {
        Ok(writeln!(self.out, "\n{title}")?)
    }

    pub(super) fn applause(&mut self) -> Result<(), DemoFailure> {
        Ok(writeln!(self.out, "\nAll {} steps went as they should.", self.steps)?)
    }

    /// An address that no other run has.
    pub(super) fn email(&self, name: &str) -> String {
        format!("{name}-{}@demo.example", &self.run)
    }

    /// An event's name that no other run has.
    pub(super) fn event_id(&self, name: &str) -> String {
        format!("evt_demo_{name}_{}", &self.run)
    }

    pub(super) const fn checks_signatures(&self) -> bool {
        self.secret.is_some()
    }

    /// The time, as the process tells it: what a signature is made at.
    #[expect(clippy::unused_self, reason = "the stage has the only clock")]
    pub(super) fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    pub(super) async fn get<'s>(
        &'s mut self,
        path: &str,
        token: Option<&str>,
    ) -> Result<Shown<'s, 'o>, DemoFailure> {
        self.send(Method::GET, path, token, None).await
    }

    pub(super) async fn post<'s>(
        &'s mut self,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> Result<Shown<'s, 'o>, DemoFailure> {
        self.send(Method::POST, path, token, Some(body)).await
    }

    pub(super) async fn send<'s>(
        &'s mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<Shown<'s, 'o>, DemoFailure> {
        let body = body.map(|body| body.to_string().into_bytes());
        let call = Call { method, path, token, body, signature: None };
        let reply = self.client.call(call).await?;
        Ok(Shown { stage: self, reply })
    }

    /// Delivers an event as Stripe does, signed with `secret` if there is one.
    pub(super) async fn deliver<'s>(
        &'s mut self,
        event: &Value,
        secret: Option<&str>,
    ) -> Result<Shown<'s, 'o>, DemoFailure> {
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
        Ok(Shown { stage: self, reply })
    }

    /// The server's own secret, if it has one.
    pub(super) fn secret(&self) -> Option<String> {
        self.secret.clone()
    }
}

impl Shown<'_, '_> {
    /// Checks the status and says what that proves.
    pub(super) fn shows(self, status: u16, proves: &str) -> Result<Value, DemoFailure> {
        let Self { stage, reply } = self;
        if reply.status != status {
            return Err(unexpected(&reply, format!("{status}: {proves}")));
        }
        if status >= 400 && reply.content_type != "application/problem+json" {
            return Err(unexpected(&reply, "a problem document".to_owned()));
        }
        stage.steps += 1;
        writeln!(stage.out, "  ✓ {:<36} {status}  {proves}", reply.brief())?;
        Ok(reply.body)
    }

    /// Checks for a refusal of this code, and says what that proves.
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

    /// Checks for the very bytes of an earlier answer, given by [`Shown::bytes`].
    pub(super) fn has_the_bytes(self, earlier: &[u8]) -> Result<Self, DemoFailure> {
        if self.reply.without_request_id() == earlier {
            return Ok(self);
        }
        let earlier = String::from_utf8_lossy(earlier);
        Err(unexpected(&self.reply, format!("the same bytes as before: {earlier}")))
    }

    /// The body as it came, but for the id of the request.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.reply.without_request_id()
    }

    /// Checks that a member of the body is `value`, besides what [`shows`](Self::shows) does.
    pub(super) fn has(self, pointer: &str, value: &Value) -> Result<Self, DemoFailure> {
        if self.reply.body.pointer(pointer) == Some(value) {
            Ok(self)
        } else {
            Err(unexpected(&self.reply, format!("`{pointer}` to be {value}")))
        }
    }
}

impl Reply {
    /// The request, with ids and queries cut short.
    fn brief(&self) -> String {
        let (path, query) = self.call.split_once('?').map_or((&*self.call, ""), |(p, _)| (p, "?…"));
        let segments: Vec<&str> = path
            .split('/')
            .map(|segment| if uuid::Uuid::try_parse(segment).is_ok() { "…" } else { segment })
            .collect();
        segments.join("/") + query
    }
}

/// A member of a body, as text.
pub(super) fn text(body: &Value, pointer: &str) -> Result<String, DemoFailure> {
    body.pointer(pointer).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        DemoFailure::Unexpected {
            step: "reading an answer".to_owned(),
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
