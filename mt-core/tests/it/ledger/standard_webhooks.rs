//! A small provider for <https://www.standardwebhooks.com>.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mt_core::pg::ledger::{Failure, LeasedEvent, NewEvent, Outcome, Provider};
use mt_core::pg::{PgError, SystemTx};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Notify;

const SECRET: &[u8] = b"a key of the tests, of 32 bytes.";

/// A request as it comes over the wire.
pub(super) struct Request {
    id: String,
    timestamp: String,
    pub(super) signature: String,
    body: Vec<u8>,
}

fn tag(id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    mac
}

/// A signed event whose effect is `effect`.
pub(super) fn sign(id: &str, effect: &str) -> Request {
    let body = json!({"type": "count.asked", "data": {"effect": effect, "customer": "c-1"}});
    let (body, timestamp) = (body.to_string().into_bytes(), "1795449600".to_owned());
    let tag = tag(id, &timestamp, &body).finalize().into_bytes();
    let signature = format!("v1,{}", STANDARD.encode(tag));
    Request { id: id.to_owned(), timestamp, signature, body }
}

/// Verifies a request. Returns a delivery, or `None` if the request is not signed.
pub(super) fn receive(request: &Request) -> Option<NewEvent> {
    let Request { id, timestamp, signature, body } = request;
    let is_ours = signature.split(' ').filter_map(|one| one.strip_prefix("v1,")).any(|encoded| {
        STANDARD
            .decode(encoded)
            .is_ok_and(|given| tag(id, timestamp, body).verify_slice(&given).is_ok())
    });
    if !is_ours {
        return None;
    }
    let event: Value = serde_json::from_slice(body).ok()?;
    let customer_id = event.pointer("/data/customer").and_then(Value::as_str).map(str::to_owned);
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    Some(NewEvent { customer_id, ..NewEvent::new(id.as_str(), kind, body.as_slice()) })
}

/// Where the first to come waits until it is opened.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) entered: Notify,
    pub(super) opened: Notify,
    is_passed: AtomicBool,
}

impl Gate {
    /// A gate without waiting tasks.
    pub(super) fn open() -> Arc<Self> {
        Arc::new(Self { is_passed: AtomicBool::new(true), ..Self::default() })
    }

    async fn pass(&self) {
        if !self.is_passed.swap(true, Ordering::SeqCst) {
            self.entered.notify_one();
            self.opened.notified().await;
        }
    }
}

/// Counts its events in `public.counter`, each as often as it is applied.
pub(super) struct Standard {
    pub(super) gate: Arc<Gate>,
}

impl Default for Standard {
    fn default() -> Self {
        Self { gate: Gate::open() }
    }
}

impl Provider for Standard {
    const NAME: &'static str = "standard";
    type Event = NewEvent;
    type Prepared = String;

    async fn prepare(&self, event: &LeasedEvent) -> Result<String, Outcome> {
        let body: Value =
            serde_json::from_slice(&event.body).map_err(|_| Outcome::Ignored("unreadable"))?;
        let effect = body.pointer("/data/effect").and_then(Value::as_str).unwrap_or_default();
        match effect {
            "ignore early" => return Err(Outcome::Ignored("early")),
            "malformed" => return Err(Outcome::Dead(Failure::new("malformed", "no amount"))),
            "slow before" => self.gate.pass().await,
            // What a process that is killed does: it never comes back.
            "kill" => {
                self.gate.entered.notify_one();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        Ok(effect.to_owned())
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        event: &LeasedEvent,
        effect: String,
    ) -> Result<Outcome, PgError> {
        if effect == "wait" {
            let link: Option<i32> =
                sqlx::query_scalar("select 1 from public.links where customer = $1")
                    .bind(&event.event.customer_id)
                    .fetch_optional(tx.conn())
                    .await?;
            self.gate.pass().await;
            if link.is_none() {
                return Ok(Outcome::Deferred(Failure::new("unlinked", "no link")));
            }
        }
        sqlx::query("update public.counter set n = n + 1").execute(tx.conn()).await?;
        match effect.as_str() {
            "ignore" => return Ok(Outcome::Ignored("late")),
            "hopeless" => return Ok(Outcome::Dead(Failure::new("hopeless", "it is"))),
            "fail" => return Ok(Outcome::Failed(Failure::new("broken", "it did"))),
            "put off" => {
                let busy = Failure::new("busy", "it is").retry_after(Duration::from_hours(2));
                return Ok(Outcome::Failed(busy));
            }
            "break" => {
                sqlx::query("select 1 / 0").execute(tx.conn()).await?;
            }
            "panic" => panic!("an effect that panics"),
            "slow" => self.gate.pass().await,
            _ => {}
        }
        Ok(Outcome::Processed)
    }
}

#[test]
fn unsigned_request_is_not_a_delivery() {
    let mut request = sign("msg_1", "count");
    let delivery = receive(&request).unwrap();
    assert_eq!((delivery.event_id.as_str(), delivery.kind.as_str()), ("msg_1", "count.asked"));
    // While a secret is replaced there are two signatures.
    request.signature = format!("v1,AAAA {}", request.signature);
    assert!(receive(&request).is_some());
    request.body.push(b' ');
    assert!(receive(&request).is_none());
}
