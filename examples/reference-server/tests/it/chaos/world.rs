//! Everything around the server: Postgres, perhaps a pooler, Redis, and what is stored.

use mt_core::testing::TestDatabase;
use reference_server::schema;
use sqlx::AssertSqlSafe;

use super::pgbouncer::PgBouncer;
use super::postgres::{Server, send};
use super::redis::Redis;

/// A Postgres that can be frozen.
pub(super) struct Postgres {
    pub(super) server: Server,
    frozen: Vec<u32>,
}

/// Dropped from the top: the database while its server is there.
pub(super) struct World {
    pub(super) db: TestDatabase,
    pub(super) pgbouncer: Option<PgBouncer>,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
}

/// Whether a pooler stands between the server and Postgres.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Direct,
    Pooled,
}

impl World {
    /// `None`, and a line that says so, where something is not installed.
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    pub(super) async fn start(way: Way) -> Option<Self> {
        let (Some(server), Some(redis)) = (Server::start().await, Redis::start().await) else {
            eprintln!("SKIPPED: no binaries of Postgres and Redis to start and stop");
            return None;
        };
        let db = TestDatabase::create_on(server.superuser(), &[schema::product()]).await.unwrap();
        let pgbouncer = match way {
            Way::Direct => None,
            Way::Pooled => {
                let started = PgBouncer::start(&server, db.login()).await;
                if started.is_none() {
                    eprintln!("SKIPPED: no PgBouncer to start and stop");
                    return None;
                }
                started
            }
        };
        Some(Self { db, pgbouncer, redis, postgres: Postgres { server, frozen: Vec::new() } })
    }

    /// Where the server finds its database.
    pub(super) fn database_url(&self) -> String {
        match &self.pgbouncer {
            Some(pooler) => pooler.login_url(),
            None => self.db.login_url(),
        }
    }

    pub(super) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.db.admin()).await.unwrap();
    }

    pub(super) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.unwrap()
    }

    /// Two columns of text.
    pub(super) async fn pairs(&self, sql: &'static str) -> Vec<(String, String)> {
        sqlx::query_as(sql).fetch_all(self.db.admin()).await.unwrap()
    }

    /// How many sessions the server has, or the pooler for it; `and` narrows it down.
    pub(super) async fn sessions(&self, and: &str) -> i64 {
        let login = self.db.login().get_username().to_owned();
        self.number(&format!(
            "select count(*) from pg_stat_activity where usename = '{login}' {and}"
        ))
        .await
    }

    pub(super) async fn terminate_backends(&self) {
        let login = self.db.login().get_username().to_owned();
        self.number(&format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{login}'"
        ))
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A frozen process would not hear that it is to end.
        self.postgres.thaw();
    }
}

impl Postgres {
    /// Stops the postmaster first, so that no child is born unseen.
    pub(super) fn freeze(&mut self) {
        let postmaster = self.server.child.id();
        assert!(send("STOP", &[postmaster]));
        self.frozen = children(postmaster);
        // One of them may just have ended.
        send("STOP", &self.frozen);
        self.frozen.push(postmaster);
    }

    pub(super) fn thaw(&mut self) {
        if !self.frozen.is_empty() {
            send("CONT", &std::mem::take(&mut self.frozen));
        }
    }
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which may hold anything: state and parent.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        after.split(' ').nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    processes.filter(is_child).collect()
}
