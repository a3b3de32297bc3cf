//! A raw HTTP/1.1 client that sends arbitrary bytes and reads answers one by one.

use std::net::SocketAddr;
use std::time::Duration;

use reference_server::http::service::{
    ConnectionLimits, ShellOptions, Timeouts, serve_within, service,
};
use salvo::conn::tcp::TcpAcceptor;
use salvo::{Router, Server, Service};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A timeout for each operation, so that a hanging test fails.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server with some routes on a socket.
pub(crate) struct TestService {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl TestService {
    pub(crate) async fn start(router: Router) -> Self {
        Self::start_with(router, ShellOptions::default(), Timeouts::default()).await
    }

    pub(crate) async fn start_with(
        router: Router,
        options: ShellOptions,
        timeouts: Timeouts,
    ) -> Self {
        let service = service(router, options);
        Self::start_within(ConnectionLimits::default(), service, timeouts).await
    }

    pub(crate) async fn start_within(
        limits: ConnectionLimits,
        service: Service,
        timeouts: Timeouts,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let served = tokio::spawn(serve_within(limits, listener, service, shutdown, timeouts));
        Self { address, stop, served }
    }

    pub(crate) async fn connect(&self) -> RawConnection {
        RawConnection::connect(self.address).await
    }

    /// Sends one request on a new connection.
    pub(crate) async fn ask(&self, line: &str, headers: &str, body: &str) -> Reply {
        self.connect().await.ask(line, headers, body).await
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn begin_stop(self) -> JoinHandle<std::io::Result<()>> {
        self.stop.send(()).expect("the server runs");
        self.served
    }

    pub(crate) async fn stop(self) {
        within(self.begin_stop()).await.unwrap().unwrap();
    }
}

/// A client connection.
pub(crate) struct RawConnection(BufReader<TcpStream>);

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Serves the routes by salvo's own accept loop, without the connection handling of the server.
pub(crate) async fn unguarded(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(TcpAcceptor::try_from(listener).unwrap());
    (address, tokio::spawn(server.serve(service(router, ShellOptions::default()))))
}

impl RawConnection {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects from `source`, a local address.
    pub(crate) async fn connect_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        Self(BufReader::new(socket.connect(address).await.unwrap()))
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Sends a head and, `apart` later, a body. Returns `None` if the connection ends without an answer.
    pub(crate) async fn exchange(
        &mut self,
        head: &str,
        apart: Duration,
        body: &str,
    ) -> Option<Reply> {
        self.0.write_all(head.as_bytes()).await.ok()?;
        if !body.is_empty() {
            tokio::time::sleep(apart).await;
            // A refused body may meet a closed connection, with the answer before it.
            let _ = self.0.write_all(body.as_bytes()).await;
        }
        if within(self.0.fill_buf()).await.ok()?.is_empty() {
            return None;
        }
        Some(self.reply(true).await)
    }

    /// Reads some bytes. Returns `false` at the end.
    pub(crate) async fn skip(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        self.0.get_mut().read(&mut bytes).await.is_ok_and(|read| read > 0)
    }

    /// Sends `bytes`. Returns whether the connection ends without an answer.
    pub(crate) async fn is_gone_after(&mut self, bytes: &[u8]) -> bool {
        let gone = async {
            self.0.write_all(bytes).await?;
            self.0.read_u8().await
        };
        within(gone).await.is_err()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, line: &str, headers: &str, body: &str) -> Reply {
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}");
        self.send(request.as_bytes()).await;
        self.reply(!line.starts_with("HEAD ")).await
    }

    pub(crate) async fn reply(&mut self, has_body: bool) -> Reply {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            within(self.0.read_line(&mut line)).await.unwrap();
            assert!(!line.is_empty(), "the connection closed within a head: {head:?}");
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        let fields = head[1..].iter().map(|field| field.split_once(": ").unwrap());
        let headers = fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut reply = Reply { status, headers, body: String::new() };
        if has_body {
            let length = reply.header("content-length").map_or(0, |n| n.parse().unwrap());
            let mut body = vec![0; length];
            within(self.0.read_exact(&mut body)).await.unwrap();
            reply.body = String::from_utf8(body).unwrap();
        }
        reply
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        within(self.0.read_to_end(&mut rest)).await.unwrap();
        String::from_utf8(rest).unwrap()
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut held = self.headers.iter().filter(|(held, _)| held == name);
        let value = held.next().map(|(_, value)| value.as_str());
        assert!(held.next().is_none(), "`{name}` is there twice: {self:?}");
        value
    }

    /// Asserts that this is a complete problem document with this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body: Value = serde_json::from_str(&self.body).expect("a problem is JSON");
        assert_eq!(body["code"], code, "{self:?}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string(), "{self:?}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        self.assert_hardened();
    }

    /// Asserts the headers that every answer has.
    #[track_caller]
    pub(crate) fn assert_hardened(&self) {
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        assert_eq!(self.header("referrer-policy"), Some("no-referrer"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let policy = Some("default-src 'none'; frame-ancestors 'none'");
        assert_eq!(self.header("content-security-policy"), policy, "{self:?}");
        assert_eq!(self.header("server"), None, "{self:?}");
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "{self:?}");
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TIMEOUT, future).await.expect("an answer in time")
}
