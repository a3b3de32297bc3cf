//! The server process under test: its resources at rest, and how it stops.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use test_support::process::signal;

use super::dependencies::{Dependencies, Route};

use crate::support::SECRET;
use crate::support::process::ServerProcess;

/// The most sessions that the server may have: those of the pool, and one for `/ready`.
const CONNECTIONS: i64 = 16 + 1;
/// The default of `SHUTDOWN_GRACE_SECONDS`.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// The time after the last request within which the server is at rest.
const AT_REST_WITHIN: Duration = Duration::from_secs(5);
/// The most processor time that a server without requests takes in a second.
const IDLE_CPU: Duration = Duration::from_millis(100);
const IN_TRANSACTION: &str = "and state like 'idle in transaction%'";
/// A limit that is counted in Redis and never reached.
const PLENTY: &str = "1000000";

pub(super) struct Server {
    process: ServerProcess,
}

/// The end of a server after SIGTERM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) took: Duration,
    pub(super) succeeded: bool,
}

impl Server {
    /// The server of `MT_CHAOS_SERVER`, or the one that was built for the tests.
    pub(super) async fn start(dependencies: &Dependencies, settings: &[(&str, &str)]) -> Self {
        let program = std::env::var("MT_CHAOS_SERVER");
        let program = program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_mt-server"));
        let redis = dependencies.redis.url();
        let mut all = vec![
            ("REDIS_URL", redis.as_str()),
            ("STRIPE_WEBHOOK_SECRET", SECRET),
            ("RUST_LOG", "warn,reference_server::cli=info"),
            ("RATE_LIMIT_AUTH_PER_MIN", PLENTY),
            ("RATE_LIMIT_API_PER_MIN", PLENTY),
            ("RATE_LIMIT_WEBHOOKS_PER_MIN", PLENTY),
            ("WEBHOOK_LEASE_SECONDS", "2"),
            ("WEBHOOK_BACKOFF_MS", "50"),
        ];
        all.extend(settings);
        let (program, folder) = (Path::new(program), std::env::temp_dir());
        Self {
            process: ServerProcess::start_program(
                program,
                &folder,
                &dependencies.database_url(),
                &all,
            )
            .await,
        }
    }

    pub(super) fn base_url(&self) -> &str {
        &self.process.base_url
    }

    /// The last lines of its log, for failure messages.
    pub(super) fn log(&self) -> String {
        let lines = self.process.lines();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn metric(page: &str, series: &str) -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }

    /// Whether no connection is in use and no request waits for one.
    async fn pool_is_idle(&self) -> bool {
        let page = self.process.send(Method::GET, "/metrics", &[], None).await.text;
        let used = Self::metric(&page, r#"mt_db_pool_connections{state="used"}"#);
        let waiting = Self::metric(&page, "mt_db_pool_waiting");
        used + waiting < 0.5
    }

    async fn is_ready(&self) -> bool {
        self.process.send(Method::GET, "/ready", &[], None).await.status == 200
    }

    /// The violations of a server without requests: it must be ready, hold no transaction and be idle.
    pub(super) async fn violations_at_rest(
        &self,
        dependencies: &Dependencies,
        route: Route,
    ) -> Vec<String> {
        let mut all = Vec::new();
        // A polling worker has a transaction too, for a moment.
        let resting = async {
            while !self.pool_is_idle().await
                || !self.is_ready().await
                || dependencies.sessions(IN_TRANSACTION).await > 0
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(AT_REST_WITHIN, resting).await.is_err() {
            let open = dependencies.sessions(IN_TRANSACTION).await;
            let (rests, ready) = (self.pool_is_idle().await, self.is_ready().await);
            all.push(format!("pool at rest: {rests}, ready: {ready}, transactions open: {open}"));
        }
        let sessions = dependencies.sessions("").await;
        if route == Route::Direct && sessions > CONNECTIONS {
            all.push(format!("{sessions} sessions of {CONNECTIONS}"));
        }
        let before = self.cpu();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = self.cpu().saturating_sub(before);
        if used > IDLE_CPU {
            all.push(format!("{used:?} of processor time in a second of idleness"));
        }
        all
    }

    /// The processor time that the process has taken, as `/proc` tells it in hundredths of a second.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let after = stat.rsplit(") ").next().unwrap();
        let ticks = after.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Sends SIGTERM and waits until the process has ended, a little longer than it may take.
    pub(super) async fn terminate(mut self) -> Stop {
        let began = Instant::now();
        assert!(signal("TERM", &[self.process.id()]));
        loop {
            if let Some(status) = self.process.ended() {
                return Stop { took: began.elapsed(), succeeded: status.success() };
            }
            if began.elapsed() > GRACE + Duration::from_secs(2) {
                return Stop { took: began.elapsed(), succeeded: false };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
