//! A delivery with an invalid signature header is refused before its body is read.

use chrono::TimeDelta;
use mt_core::clock::{Clock as _, SystemClock};
use mt_stripe::signature::sign;

use crate::support::raw_http::RawConnection;
use crate::support::{SECRET, Server};

const POST: &str = "POST /webhooks/stripe";
const BODY: &str = r#"{"id":"evt_head","type":"a.b","created":1,"data":{"object":{}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_signature_header_is_refused_before_the_body() {
    let server = Server::start().await;
    let now = SystemClock.now();
    let forged = sign("whsec_of_a_stranger", BODY.as_bytes(), now);
    let stale = sign(SECRET, BODY.as_bytes(), now - TimeDelta::minutes(6));
    let early = sign(SECRET, BODY.as_bytes(), now + TimeDelta::minutes(6));
    let line = |value: &str| format!("stripe-signature: {value}\r\n");
    let length = "content-length: 2097152\r\n";
    for headers in [
        String::new(),
        line(""),
        line("t=1"),
        line(&format!("t={}", now.timestamp())),
        line(&format!("t={},v1=short", now.timestamp())),
        line(&stale),
        line(&early),
        line(&forged).repeat(2),
    ] {
        // Nothing of the body is sent.
        let mut connection = RawConnection::connect(server.address).await;
        let reply = connection.ask(POST, &format!("{headers}{length}"), "").await;
        reply.assert_problem(400, "invalid-signature");
    }

    // The control: with a header that might be genuine, the server reads on until the body breaks off.
    let mut connection = RawConnection::connect(server.address).await;
    let head = format!("{POST} HTTP/1.1\r\nhost: x\r\n{}{length}\r\n{{", line(&forged));
    connection.send(head.as_bytes()).await;
    connection.finish().await;
    assert!(!connection.rest().await.contains("invalid-signature"));
    // And the tag is compared all the same.
    for (signature, status) in [(forged, 400), (sign(SECRET, BODY.as_bytes(), now), 200)] {
        let headers = format!("{}content-length: {}\r\n", line(&signature), BODY.len());
        let mut connection = RawConnection::connect(server.address).await;
        let reply = connection.ask(POST, &headers, BODY).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    server.stop().await;
}
