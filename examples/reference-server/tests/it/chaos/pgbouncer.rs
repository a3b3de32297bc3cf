//! A `PgBouncer` in transaction mode in front of the storm's Postgres.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::postgres::{Server as Postgres, command, send};
use super::redis::free_port;

pub(super) struct PgBouncer {
    child: Child,
    bin: PathBuf,
    home: PathBuf,
    user: Option<(u32, u32)>,
    /// How the server logs in through it.
    login: PgConnectOptions,
}

impl PgBouncer {
    /// `None` where there is no `pgbouncer` to start. `login` is the only one that it lets in.
    pub(super) async fn start(postgres: &Postgres, login: PgConnectOptions) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = std::env::split_paths(&path)
            .chain(["/usr/sbin".into()])
            .map(|folder| folder.join("pgbouncer"))
            .find(|bin| bin.is_file())?;
        let (home, user, port) = (postgres.home.clone(), postgres.user, free_port());
        // After a failed login it refuses everything for `server_login_retry`: 15 seconds unless told
        // otherwise, which would be measured as the server's own.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 16\n\
             max_client_conn = 500\nauth_type = trust\nauth_file = pgbouncer.users\n\
             ignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\n",
            postgres.port
        );
        let users = format!("\"{}\" \"\"\n", login.get_username());
        for (name, text) in [("pgbouncer.ini", settings), ("pgbouncer.users", users)] {
            let file = home.join(name);
            std::fs::write(&file, text).unwrap();
            if let Some((uid, gid)) = user {
                chown(&file, Some(uid), Some(gid)).unwrap();
            }
        }
        let child = command(&bin, &home, user).arg("pgbouncer.ini").spawn().ok()?;
        let login = login.host("127.0.0.1").port(port);
        let pooler = Self { child, bin, home, user, login };
        pooler.is_up().await;
        Some(pooler)
    }

    pub(super) fn login_url(&self) -> String {
        self.login.to_url_lossy().to_string()
    }

    /// SIGTERM, at which it drops everything at once.
    pub(super) async fn stop(&mut self) {
        assert!(send("TERM", &[self.child.id()]), "TERM to PgBouncer");
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it after a [`stop`](Self::stop), and returns when Postgres answers through it.
    pub(super) async fn start_again(&mut self) {
        self.child =
            command(&self.bin, &self.home, self.user).arg("pgbouncer.ini").spawn().unwrap();
        self.is_up().await;
    }

    /// Returns when Postgres answers through it.
    pub(super) async fn is_up(&self) {
        let asking = async {
            loop {
                if let Ok(mut connection) = self.login.connect().await {
                    let answer = sqlx::raw_sql("select 1").execute(&mut connection).await;
                    let _ = connection.close().await;
                    if answer.is_ok() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("PgBouncer starts");
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
