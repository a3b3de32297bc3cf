//! A scripted stand-in for the Stripe API.

use mt_stripe::client::StripeClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A server that passes each request to the test, which answers it. It stops when dropped.
pub(crate) struct StripeApi {
    address: String,
    questions: mpsc::UnboundedReceiver<ApiRequest>,
    task: tokio::task::JoinHandle<()>,
}

/// A request that waits for its answer.
pub(crate) struct ApiRequest {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    /// The body: a form.
    pub(crate) body: String,
    answer: oneshot::Sender<String>,
}

impl StripeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (ask, questions) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, ask.clone()));
            }
        });
        Self { address, questions, task }
    }

    pub(crate) fn client(&self) -> StripeClient {
        let client = StripeClient::new("rk_test_0123456789").unwrap();
        client.with_base(&format!("http://{}", self.address)).unwrap()
    }

    /// Waits for the next request.
    pub(crate) async fn question(&mut self) -> ApiRequest {
        self.questions.recv().await.expect("the stand-in listens")
    }

    /// Whether no request is waiting.
    pub(crate) fn is_silent(&self) -> bool {
        self.questions.is_empty()
    }
}

impl Drop for StripeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one request on one connection.
async fn serve(mut socket: TcpStream, ask: mpsc::UnboundedSender<ApiRequest>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(byte);
    }
    let (answer, answered) = oneshot::channel();
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    let Ok(_) = socket.read_exact(&mut body).await else { return };
    let body = String::from_utf8(body).unwrap();
    let _ = ask.send(ApiRequest { head, body, answer });
    // Dropped without an answer: hung up.
    let Ok(answer) = answered.await else { return };
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

impl ApiRequest {
    /// Returns path and query.
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| line.strip_prefix(name).is_some_and(|v| v.starts_with(": "));
        let line = self.head.lines().find(|line| named(line))?;
        Some(&line[name.len() + 2..])
    }

    /// Answers with a status, a `Date` header, further headers and a body.
    pub(crate) fn answer(self, status: u16, date: &str, headers: &str, body: &str) {
        let _ = self.answer.send(format!(
            "HTTP/1.1 {status} x\r\ndate: {date}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        ));
    }

    /// Answers with an object.
    pub(crate) fn show(self, date: &str, object: &Value) {
        self.answer(200, date, "", &object.to_string());
    }

    /// Answers with a Stripe error.
    pub(crate) fn refuse(self, status: u16, headers: &str, code: &str) {
        let error = json!({"error": {"type": "x", "code": code, "message": "no"}});
        self.answer(status, EARLY, headers, &error.to_string());
    }

    /// Closes the connection.
    pub(crate) fn hang_up(self) {
        drop(self.answer);
    }
}

/// A minute after `support::START`, and an hour after it.
pub(crate) const EARLY: &str = "Mon, 23 Nov 2026 16:01:00 GMT";
pub(crate) const LATE: &str = "Mon, 23 Nov 2026 17:00:00 GMT";
