//! Redis servers for one test, alone or as a cluster, which the test may pause, kill and restart.

mod cluster;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

pub use self::cluster::{NODE_TIMEOUT, RedisCluster};
use crate::process::{free_port, signal};

/// A `redis-server` that stores nothing on disk. It is killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    port: u16,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server on a free port, without waiting for it. Returns `None` where Redis is not installed.
    #[must_use]
    pub fn spawn() -> Option<Self> {
        Self::spawn_with(&[])
    }

    /// Starts a server and returns when it accepts writes. Returns `None` where Redis is not installed.
    ///
    /// # Panics
    ///
    /// If it does not accept writes within 10 seconds.
    pub async fn start() -> Option<Self> {
        let server = Self::spawn()?;
        server.ready().await;
        Some(server)
    }

    fn spawn_with(arguments: &[&str]) -> Option<Self> {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let port = free_port();
        Some(Self { process: spawn(port, &arguments)?, port, arguments })
    }

    /// Returns the port on which the server listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Opens a connection.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn connect(&self) -> MultiplexedConnection {
        self.try_connect().await.unwrap()
    }

    async fn try_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    /// Pauses the process with SIGSTOP: connections stay open and nothing answers.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn pause(&self) {
        assert!(signal("STOP", &[self.process.id()]), "STOP to Redis");
    }

    /// Resumes the process after a [`pause`](Self::pause).
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn resume(&self) {
        assert!(signal("CONT", &[self.process.id()]), "CONT to Redis");
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts the server after a [`kill`](Self::kill), on the same port, without waiting for it.
    ///
    /// # Panics
    ///
    /// If the process cannot be started.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.arguments).expect("Redis is installed");
    }

    /// Returns when the server accepts writes.
    ///
    /// # Panics
    ///
    /// If that takes longer than 10 seconds.
    pub async fn ready(&self) {
        let writing = async {
            while !self.accepts_writes().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), writing).await.expect("Redis starts");
    }

    async fn accepts_writes(&self) -> bool {
        let Ok(mut connection) = self.try_connect().await else { return false };
        let mut set = redis::cmd("SET");
        set.arg("test-support").arg(1);
        set.query_async::<()>(&mut connection).await.is_ok()
    }

    /// Makes the server a replica of one that does not exist: it answers, and refuses writes.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn refuse_writes(&self) {
        let replicate = format!("REPLICAOF 127.0.0.1 {}", free_port());
        let () = command(&mut self.connect().await, &replicate).await;
    }

    /// Ends [`refuse_writes`](Self::refuse_writes).
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn accept_writes(&self) {
        let () = command(&mut self.connect().await, "REPLICAOF NO ONE").await;
    }

    /// Whether the process has ended: its port was taken, or it does not know its arguments.
    fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, arguments: &[String]) -> Option<Child> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Sends a command whose words are separated by spaces, and returns its answer.
///
/// # Panics
///
/// If the answer is an error, or not a `T`.
pub async fn command<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &str,
) -> T {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    for word in words {
        cmd.arg(word);
    }
    cmd.query_async(connection).await.unwrap_or_else(|error| panic!("{command}: {error}"))
}
