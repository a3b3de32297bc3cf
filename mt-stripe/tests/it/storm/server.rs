//! A Postgres of a test's own, with durable commits, that may be stopped and started.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

pub(super) struct Server {
    bin: PathBuf,
    /// A directory of `user`'s.
    pub(super) home: PathBuf,
    pub(super) port: u16,
    /// As whom, where we are root: Postgres does not run as that.
    pub(super) user: Option<(u32, u32)>,
    /// The postmaster.
    pub(super) child: Child,
}

impl Server {
    /// `None` where there are no binaries.
    pub(super) async fn start() -> Option<Self> {
        let bin = binaries()?;
        let home = std::env::temp_dir().join(format!("mt-storm-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&home).unwrap();
        let user = (home.metadata().unwrap().uid() == 0).then(somebody_else);
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let made = command(&bin.join("initdb"), &home, user)
            .arg("--pgdata=data")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .status()
            .unwrap();
        assert!(made.success(), "initdb in {}", home.display());
        let child = spawn(&bin, &home, user, port);
        let server = Self { bin, home, port, user, child };
        server.is_up().await;
        Some(server)
    }

    pub(super) fn superuser(&self) -> PgConnectOptions {
        PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
            .password("")
    }

    /// Stops it by a signal and returns when it is gone. `QUIT` is what `pg_ctl stop -m immediate` sends: no
    /// transaction comes to its end, and the next start recovers from the log.
    pub(super) async fn stop(&mut self, signal: &str) {
        assert!(send(signal, &[self.child.id()]), "{signal} to Postgres");
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it after a [`stop`](Self::stop), and returns when it answers.
    pub(super) async fn start_again(&mut self) {
        self.child = spawn(&self.bin, &self.home, self.user, self.port);
        self.is_up().await;
    }

    async fn is_up(&self) {
        let asking = async {
            while self.superuser().connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("Postgres starts");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        quit(&mut self.child);
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// SIGQUIT, at which Postgres drops everything.
fn quit(child: &mut Child) {
    if !send("QUIT", &[child.id()]) {
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// Sends a signal to processes. `false` when one of them was gone.
pub(super) fn send(signal: &str, processes: &[u32]) -> bool {
    let processes = processes.iter().map(u32::to_string);
    let sent =
        Command::new("kill").args(["-s", signal]).args(processes).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

/// A program that runs as `user` in `home`, and says nothing.
pub(super) fn command(program: &Path, home: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // Settings of the caller's own database are none of this one's.
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

/// Where `initdb` and `postgres` are: the newest of the usual places, or the search path.
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

/// The user of Postgres, or of nobody.
fn somebody_else() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user who is not root")
}
