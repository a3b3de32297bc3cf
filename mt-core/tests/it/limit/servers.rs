//! Redis processes of a test's own, alone and as a cluster: to stop, to kill, to bring back.

mod cluster;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use redis::aio::MultiplexedConnection;
use uuid::Uuid;

pub(super) use self::cluster::Cluster;

/// A `redis-server` process, killed when dropped.
pub(super) struct Redis {
    child: Child,
    pub(super) port: u16,
}

impl Redis {
    /// `None` where there is no `redis-server` to start.
    pub(super) fn start(port: u16) -> Option<Self> {
        Self::start_with(port, &[])
    }

    fn start_with(port: u16, more: &[&str]) -> Option<Self> {
        let port_text = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { child, port })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether the process has ended: its port was not to be had, or its configuration not understood.
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(super) async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port on which nothing listens, nor on the one 10000 above it, where a node of a cluster talks to
/// the others. Below those that outgoing connections are given, so that none of them takes it meanwhile.
pub(super) fn free_port() -> u16 {
    let start = Uuid::new_v4().as_u128();
    let ports = (0..12_000).map(|n| 10_000 + u16::try_from((start + n) % 12_000).unwrap());
    let is_free = |port: &u16| {
        [*port, *port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
    };
    ports.into_iter().find(is_free).expect("some port is free")
}

/// Says `command`, whose words are separated by spaces.
pub(super) async fn ask<T: redis::FromRedisValue>(
    server: &mut MultiplexedConnection,
    command: &str,
) -> T {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    for word in words {
        cmd.arg(word);
    }
    cmd.query_async(server).await.unwrap_or_else(|error| panic!("{command}: {error}"))
}
