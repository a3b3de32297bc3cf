//! A PgBouncer for one test, in front of a Postgres server for the same test.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::postgres::PostgresServer;
use crate::process::{find_program, free_port, signal};

/// A PgBouncer in transaction mode. It is killed when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    program: PathBuf,
    login: PgConnectOptions,
}

impl PgBouncer {
    /// Starts a PgBouncer that admits `login` alone, and waits until Postgres answers through it. Returns `None` where
    /// PgBouncer is not installed.
    ///
    /// # Panics
    ///
    /// If Postgres does not answer through it within 30 seconds.
    pub async fn start(postgres: &PostgresServer, login: PgConnectOptions) -> Option<Self> {
        let program = find_program("pgbouncer")?;
        let port = free_port();
        // After a failed login PgBouncer refuses everything for `server_login_retry`, 15 seconds by default. A test
        // that measures how soon a service recovers would measure that.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 16\n\
             max_client_conn = 500\nauth_type = trust\nauth_file = pgbouncer.users\n\
             ignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\n",
            postgres.port()
        );
        postgres.write_file("pgbouncer.users", &format!("\"{}\" \"\"\n", login.get_username()));
        let settings = postgres.write_file(SETTINGS, &settings);
        let process = postgres.command(&program).arg(settings).spawn().ok()?;
        let login = login.host("127.0.0.1").port(port);
        let pgbouncer = Self { process, program, login };
        pgbouncer.ready().await;
        Some(pgbouncer)
    }

    /// Returns the URL by which the login connects through PgBouncer.
    #[must_use]
    pub fn login_url(&self) -> String {
        self.login.to_url_lossy().to_string()
    }

    /// Stops PgBouncer with SIGTERM, which closes all connections at once, and returns when it has ended.
    ///
    /// # Panics
    ///
    /// If it has ended before.
    pub async fn stop(&mut self) {
        assert!(signal("TERM", &[self.process.id()]), "TERM to PgBouncer");
        while self.process.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts PgBouncer after a [`stop`](Self::stop), and returns when Postgres answers through it.
    ///
    /// # Panics
    ///
    /// If Postgres does not answer through it within 30 seconds.
    pub async fn restart(&mut self, postgres: &PostgresServer) {
        self.process = postgres.command(&self.program).arg(SETTINGS).spawn().unwrap();
        self.ready().await;
    }

    /// Returns when Postgres answers through it.
    ///
    /// # Panics
    ///
    /// If that takes longer than 30 seconds.
    pub async fn ready(&self) {
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
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SETTINGS: &str = "pgbouncer.ini";
