//! A Postgres server for one test, which the test may stop, kill and pause.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::process::{free_port, signal};

/// A Postgres server with durable commits and 150 connections. It is killed, and its data deleted, when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    bin: PathBuf,
    /// A directory that `user` owns.
    home: PathBuf,
    port: u16,
    /// User and group that run the server if the test runs as root, which Postgres refuses.
    user: Option<(u32, u32)>,
    postmaster: Child,
    paused: Vec<u32>,
}

/// How a server is told to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shutdown {
    /// `pg_ctl stop -m fast`: open transactions are rolled back, and a checkpoint is written.
    Fast,
    /// `pg_ctl stop -m immediate`: nothing is written, and the next start recovers from the write-ahead log.
    Immediate,
}

impl PostgresServer {
    /// Starts a server and waits until it answers. Returns `None` where Postgres is not installed.
    ///
    /// # Panics
    ///
    /// If `initdb` fails, or the server does not answer within 30 seconds.
    pub async fn start() -> Option<Self> {
        let bin = binaries()?;
        let name = format!("mt-postgres-{}", uuid::Uuid::now_v7().simple());
        let home = std::env::temp_dir().join(name);
        std::fs::create_dir(&home).unwrap();
        let user = (home.metadata().unwrap().uid() == 0).then(unprivileged_user);
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let initialised = command(&bin.join("initdb"), &home, user)
            .arg("--pgdata=data")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--no-sync")
            .status()
            .unwrap();
        assert!(initialised.success(), "initdb in {}", home.display());
        let port = free_port();
        let postmaster = spawn(&bin, &home, user, port);
        let server = Self { bin, home, port, user, postmaster, paused: Vec::new() };
        server.ready().await;
        Some(server)
    }

    /// Returns how the superuser connects.
    #[must_use]
    pub fn superuser(&self) -> PgConnectOptions {
        PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
            .password("")
    }

    /// Stops the server and returns when its process has ended.
    ///
    /// # Panics
    ///
    /// If the process has ended before.
    pub async fn stop(&mut self, shutdown: Shutdown) {
        let name = match shutdown {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        assert!(signal(name, &[self.postmaster.id()]), "{name} to Postgres");
        while self.postmaster.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts the server after a [`stop`](Self::stop), and returns when it answers.
    ///
    /// # Panics
    ///
    /// If it does not answer within 30 seconds.
    pub async fn restart(&mut self) {
        self.postmaster = spawn(&self.bin, &self.home, self.user, self.port);
        self.ready().await;
    }

    /// Pauses all processes of the server with SIGSTOP: connections stay open and nothing answers. Linux only.
    ///
    /// # Panics
    ///
    /// If the server does not run.
    pub fn pause(&mut self) {
        let postmaster = self.postmaster.id();
        // The postmaster first, so that it starts no process that would be missed.
        assert!(signal("STOP", &[postmaster]));
        self.paused = children_of(postmaster);
        // One of them may just have ended.
        let _ = signal("STOP", &self.paused);
        self.paused.push(postmaster);
    }

    /// Resumes the processes that [`pause`](Self::pause) has stopped.
    pub fn resume(&mut self) {
        if !self.paused.is_empty() {
            let _ = signal("CONT", &std::mem::take(&mut self.paused));
        }
    }

    /// Returns a command that runs another program as the server's user, in the server's folder.
    pub(crate) fn command(&self, program: &Path) -> Command {
        command(program, &self.home, self.user)
    }

    /// Writes a file that the server's user may read, and returns its name.
    pub(crate) fn write_file(&self, name: &'static str, text: &str) -> &'static str {
        let file = self.home.join(name);
        std::fs::write(&file, text).unwrap();
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
        }
        name
    }

    async fn ready(&self) {
        let connecting = async {
            while self.superuser().connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), connecting).await.expect("Postgres starts");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.resume();
        if !signal("QUIT", &[self.postmaster.id()]) {
            let _ = self.postmaster.kill();
        }
        let _ = self.postmaster.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn command(program: &Path, home: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // Variables such as `PGDATA` are for another server.
    command.env_clear().current_dir(home).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn spawn(bin: &Path, home: &Path, user: Option<(u32, u32)>, port: u16) -> Child {
    command(&bin.join("postgres"), home, user)
        .args(["-D", "data", "-k", "", "-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=150"])
        .spawn()
        .unwrap()
}

/// The folder of `initdb` and `postgres`: the newest version that Debian has installed, or one on the search path.
fn binaries() -> Option<PathBuf> {
    let mut usual: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    usual.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    usual
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

/// User and group of `postgres`, or else of `nobody`.
fn unprivileged_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user who is not root")
}

fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // State and parent follow the name, which may contain any character.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        after.split(' ').nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    processes.filter(is_child).collect()
}
