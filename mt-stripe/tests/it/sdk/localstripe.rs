//! Deliveries over HTTP from localstripe to a receiver.
//!
//! It speaks the oldest shape there is (2017-08-15), sends each event from a task of its own, and has one
//! second for many events. It leaves out most transitions, so it is a test of the way and no oracle of
//! where it leads.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::EventStatus;
use mt_stripe::VerifiedEvent;
use mt_stripe::signature::Verifier;
use serde_json::{Value, json};
use test_support::packages::{pypi, skip};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::support::World;

const SECRET: &str = "whsec_localstripe_0123456789";
const TIMEOUT: Duration = Duration::from_mins(1);

/// localstripe, which ends when this is dropped.
struct LocalStripe {
    base: String,
    http: reqwest::Client,
    _process: Child,
}

impl LocalStripe {
    async fn start(packages: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/localstripe_server.py");
        let mut process = Command::new("python3")
            .arg(script)
            .arg(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("localstripe says its port");
        let base = format!("http://127.0.0.1:{port}");
        Self { base, http: reqwest::Client::new(), _process: process }
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let answer = request.bearer_auth("sk_test_12345").json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send(reqwest::Method::POST, path, body).await
    }
}

/// One delivery: the signature's value, and the body.
struct Delivery {
    signature: Vec<u8>,
    body: Vec<u8>,
}

/// Accepts deliveries, passes each on and answers 200.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    let (pass, deliveries) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(accept(socket, pass.clone()));
        }
    });
    (url, deliveries)
}

async fn accept(socket: TcpStream, pass: mpsc::UnboundedSender<Delivery>) {
    let mut socket = BufReader::new(socket);
    let (mut length, mut signature) = (0, Vec::new());
    loop {
        let mut line = Vec::new();
        socket.read_until(b'\n', &mut line).await.unwrap();
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).unwrap().parse().unwrap();
        }
        if name.eq_ignore_ascii_case(b"stripe-signature") {
            signature = value.to_vec();
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    let _ = pass.send(Delivery { signature, body });
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = socket.write_all(answer).await;
}

/// Deliveries, verified, until `count` of type `kind` are among them.
async fn verified(
    deliveries: &mut mpsc::UnboundedReceiver<Delivery>,
    kind: &str,
    mut count: usize,
) -> Vec<VerifiedEvent> {
    let verifier = Verifier::new(["whsec_of_another_endpoint", SECRET]).unwrap();
    let mut events = Vec::new();
    while count > 0 {
        let next = tokio::time::timeout(TIMEOUT, deliveries.recv()).await;
        let Delivery { signature, mut body } = next.expect("localstripe delivers").unwrap();
        let now = SystemClock.now();
        let verified = verifier.verify(&[&signature], body.clone(), now).unwrap();
        body[0] ^= 1;
        assert!(verifier.verify(&[&signature], body, now).is_err());
        count -= usize::from(verified.event().kind() == kind);
        events.push(verified);
    }
    events
}

#[tokio::test]
async fn deliveries_in_reverse_order_end_in_the_right_state() {
    let packages = match pypi("localstripe==1.15.10") {
        Ok(packages) => packages,
        Err(why) => return skip("localstripe", &why),
    };
    let world = World::new().await;
    let processor = world.processor();
    let stripe = LocalStripe::start(&packages).await;
    let (url, mut deliveries) = receiver().await;
    stripe.post("/_config/webhooks/mt", json!({"url": url, "secret": SECRET})).await;

    let product = stripe.post("/v1/products", json!({"name": "Mt", "type": "service"})).await;
    let plan = json!({
        "id": "price_pro", "product": product["id"], "amount": 2000, "currency": "usd",
        "interval": "month", "nickname": "Pro",
    });
    stripe.post("/v1/plans", plan).await;
    let card = json!({"object": "card", "number": "4242424242424242", "exp_month": "12",
        "exp_year": "2030", "cvc": "123"});
    let (mut tenants, mut subscriptions) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let token = stripe.post("/v1/tokens", json!({"card": card})).await;
        let email = format!("payer{n}@example.org");
        let customer =
            stripe.post("/v1/customers", json!({"email": email, "source": token["id"]})).await;
        let customer = customer["id"].as_str().unwrap().to_owned();
        // As a server does: the link is made before anybody pays.
        tenants.push(world.payer(&customer).await);
        let subscription = stripe
            .post(
                "/v1/subscriptions",
                json!({"customer": customer, "items": [{"plan": "price_pro"}]}),
            )
            .await;
        subscriptions.push(subscription["id"].as_str().unwrap().to_owned());
    }

    // All that was sent in this burst, the last to come first, and each twice.
    let mut events = verified(&mut deliveries, "customer.subscription.created", 3).await;
    let seconds: std::collections::BTreeSet<_> =
        events.iter().filter_map(|one| one.event().created()).collect();
    println!("localstripe: {} events in {} seconds", events.len(), seconds.len());
    events.reverse();
    for verified in events.iter().chain(&events) {
        let receipt = processor.receive(verified.clone()).await.unwrap();
        let expected = [EventStatus::Processed, EventStatus::Ignored];
        assert!(expected.contains(&receipt.status), "{}: {receipt:?}", verified.event().kind());
    }
    for tenant in &tenants {
        let (plan, status, ..) = world.paid_for(*tenant).await;
        assert_eq!((plan.as_str(), status.as_str()), ("pro", "active"));
    }

    // One ends. That its beginning is delivered again afterwards does not bring it back.
    let path = format!("/v1/subscriptions/{}", subscriptions[0]);
    stripe.send(reqwest::Method::DELETE, &path, json!({})).await;
    let ended = verified(&mut deliveries, "customer.subscription.deleted", 1).await;
    for verified in ended.iter().chain(&events) {
        processor.receive(verified.clone()).await.unwrap();
    }
    world.sql("update mt.webhook_events set status = 'received', processed_at = null").await;
    while processor.apply_next_due().await.unwrap() {}
    assert_eq!(world.paid_for(tenants[0]).await.1, "canceled");
    assert_eq!(world.paid_for(tenants[1]).await.1, "active");
}
