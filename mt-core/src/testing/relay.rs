//! A proxy in front of Postgres that counts round trips and can rewrite statements.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::select;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Rewrites a statement on its way to the server; `None` keeps it.
pub type Rewrite = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A local listener that forwards traffic to a Postgres server.
///
/// A *round trip* begins with a message that the server answers with `ReadyForQuery` (`Query` or `Sync`) while no
/// earlier response is outstanding: the moment in which a client starts to wait. So statements in one message count
/// once, and a statement that is prepared before it is executed counts twice. See
/// <https://www.postgresql.org/docs/current/protocol-flow.html>.
pub struct Relay {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

struct Seen {
    trips: Mutex<Vec<String>>,
    rewritten: Mutex<Vec<String>>,
    rewrite: Option<Box<Rewrite>>,
}

impl Relay {
    /// Starts a relay to the server of `login`.
    ///
    /// # Errors
    ///
    /// When no port is available.
    pub async fn start(login: &PgConnectOptions) -> io::Result<Self> {
        Self::run(login, None).await
    }

    /// Starts a relay that passes every statement to `rewrite` first.
    ///
    /// # Errors
    ///
    /// When no port is available.
    pub async fn rewriting(
        login: &PgConnectOptions,
        rewrite: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::run(login, Some(Box::new(rewrite))).await
    }

    async fn run(login: &PgConnectOptions, rewrite: Option<Box<Rewrite>>) -> io::Result<Self> {
        let server = (login.get_host().to_owned(), login.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen { trips: Mutex::default(), rewritten: Mutex::default(), rewrite });
        let shared = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { address, seen, accepting })
    }

    /// Returns `login` changed to connect through the relay, without TLS, because the relay reads the traffic.
    #[must_use]
    pub fn through(&self, login: PgConnectOptions) -> PgConnectOptions {
        login
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .ssl_mode(PgSslMode::Disable)
    }

    /// Returns the URL of the login through the relay.
    #[must_use]
    pub fn url_through(&self, login: PgConnectOptions) -> String {
        self.through(login).to_url_lossy().to_string()
    }

    /// Returns the first statement of each round trip since the last call; `Sync` for a bare one.
    #[must_use]
    pub fn take_round_trips(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.trips.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the original texts of the statements that were rewritten since the last call.
    #[must_use]
    pub fn take_rewritten(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.rewritten.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The number of responses that a connection waits for. Both directions update it.
type Outstanding = Arc<Mutex<usize>>;

/// Runs until either side disconnects; dropping the sockets disconnects the other.
async fn relay(client: TcpStream, server: (String, u16), seen: Arc<Seen>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Delayed segments would affect the duration of tests, not their counts.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let outstanding = Outstanding::default();
    let requests = Requests {
        seen,
        outstanding: Arc::clone(&outstanding),
        statements: HashMap::new(),
        next: String::new(),
    };
    let requests = pin!(requests.pass_on(from_client, to_server));
    let answers = pin!(pass_answers_on(from_server, to_client, outstanding));
    select(requests, answers).await;
}

/// A message of the protocol: its type and the bytes after the length.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

impl Message {
    async fn read(from: &mut OwnedReadHalf) -> io::Result<Self> {
        let kind = from.read_u8().await?;
        Ok(Self { kind, body: body(from).await? })
    }

    async fn write(&self, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.body.len() + 5);
        bytes.push(self.kind);
        bytes.extend(length(&self.body)?);
        bytes.extend(&self.body);
        to.write_all(&bytes).await
    }
}

/// Reads the bytes after a length, which includes itself.
async fn body(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn length(body: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(body.len() + 4).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(length.to_be_bytes())
}

/// The client's side of a connection.
struct Requests {
    seen: Arc<Seen>,
    outstanding: Outstanding,
    /// The texts of prepared statements by name.
    statements: HashMap<String, String>,
    /// The first statement of the round trip in progress.
    next: String,
}

impl Requests {
    async fn pass_on(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        // The first message has no type.
        let startup = body(&mut from).await?;
        to.write_all(&length(&startup)?).await?;
        to.write_all(&startup).await?;
        loop {
            let mut message = Message::read(&mut from).await?;
            self.see(&mut message);
            message.write(&mut to).await?;
        }
    }

    fn see(&mut self, message: &mut Message) {
        match message.kind {
            b'Q' => {
                let sql = texts(&message.body, 1).remove(0);
                if let Some(changed) = self.rewritten(&sql) {
                    message.body = [changed.as_bytes(), b"\0"].concat();
                }
                self.begin(sql);
            }
            b'P' => {
                let [name, sql] = texts(&message.body, 2).try_into().unwrap_or_default();
                if let Some(changed) = self.rewritten(&sql) {
                    let rest = message.body.split_off(name.len() + sql.len() + 2);
                    message.body =
                        [name.as_bytes(), b"\0", changed.as_bytes(), b"\0", &rest].concat();
                }
                self.next.clone_from(&sql);
                self.statements.insert(name, sql);
            }
            b'B' => {
                let [_, name] = texts(&message.body, 2).try_into().unwrap_or_default();
                if let Some(sql) = self.statements.get(&name) {
                    self.next.clone_from(sql);
                }
            }
            b'S' => {
                let first = std::mem::take(&mut self.next);
                self.begin(if first.is_empty() { "Sync".to_owned() } else { first });
            }
            _ => {}
        }
    }

    fn rewritten(&self, sql: &str) -> Option<String> {
        let changed = self.seen.rewrite.as_ref()?(sql)?;
        let mut rewritten = self.seen.rewritten.lock().unwrap_or_else(PoisonError::into_inner);
        rewritten.push(sql.to_owned());
        Some(changed)
    }

    fn begin(&self, first: String) {
        let mut outstanding = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner);
        if *outstanding == 0 {
            self.seen.trips.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        }
        *outstanding += 1;
    }
}

/// Returns the first `count` null-terminated texts of a body.
fn texts(body: &[u8], count: usize) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut texts: Vec<String> = body.split(|byte| *byte == 0).take(count).map(text).collect();
    texts.resize(count, String::new());
    texts
}

async fn pass_answers_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    outstanding: Outstanding,
) -> io::Result<()> {
    loop {
        let message = Message::read(&mut from).await?;
        if message.kind == b'Z' {
            let mut outstanding = outstanding.lock().unwrap_or_else(PoisonError::into_inner);
            // The `ReadyForQuery` that ends the startup answers no counted message.
            *outstanding = outstanding.saturating_sub(1);
        }
        message.write(&mut to).await?;
    }
}
