//! A Redis of the storm's own, to kill, to freeze and to make a replica.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::postgres::send;

pub(super) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// `None` where there is no `redis-server` to start.
    pub(super) async fn start() -> Option<Self> {
        let port = free_port();
        let redis = Self { child: spawn(port)?, port };
        redis.counts().await;
        Some(redis)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it after a [`kill`](Self::kill), and returns when it answers.
    pub(super) async fn start_again(&mut self) {
        self.child = spawn(self.port).expect("it was there before");
        self.counts().await;
    }

    /// Stops the process in its tracks: its connections stay, and nothing answers.
    pub(super) fn freeze(&self) {
        assert!(send("STOP", &[self.child.id()]));
    }

    pub(super) fn thaw(&self) {
        assert!(send("CONT", &[self.child.id()]));
    }

    /// Makes it the replica of a server that does not exist: it answers and refuses writes.
    pub(super) async fn demote(&self) {
        let said = self.say(&format!("REPLICAOF 127.0.0.1 {}", free_port())).await;
        assert_eq!(said.unwrap(), "+OK");
    }

    pub(super) async fn promote(&self) {
        assert_eq!(self.say("REPLICAOF NO ONE").await.unwrap(), "+OK");
    }

    /// Returns when it takes writes.
    async fn counts(&self) {
        let asking = async {
            while self.say("SET chaos 1").await.ok().as_deref() != Some("+OK") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asking).await.expect("Redis starts");
    }

    /// One command on a connection of its own, and the first line of the answer.
    async fn say(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16) -> Option<Child> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// A port on which nothing listens at this moment.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
