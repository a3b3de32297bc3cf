//! The dependencies of the server under test: Postgres, perhaps PgBouncer, and Redis.

use mt_core::testing::TestDatabase;
use reference_server::schema;
use sqlx::AssertSqlSafe;
use test_support::pgbouncer::PgBouncer;
use test_support::postgres::PostgresServer;
use test_support::redis::RedisServer;

/// Running dependencies. They are dropped in this order: the database while its server runs.
pub(super) struct Dependencies {
    pub(super) db: TestDatabase,
    pub(super) pgbouncer: Option<PgBouncer>,
    pub(super) redis: RedisServer,
    pub(super) postgres: PostgresServer,
}

/// Whether the server connects to Postgres itself or through PgBouncer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Direct,
    Pooled,
}

impl Dependencies {
    /// Starts them. Returns `None`, and says so, where a program is not installed.
    #[expect(clippy::print_stderr, reason = "a skipped test has to be visible")]
    pub(super) async fn start(route: Route) -> Option<Self> {
        let (Some(postgres), Some(redis)) =
            (PostgresServer::start().await, RedisServer::start().await)
        else {
            eprintln!("SKIPPED: Postgres or Redis is not installed");
            return None;
        };
        let db = TestDatabase::create_on(postgres.superuser(), &[schema::product()]).await.unwrap();
        let pgbouncer = match route {
            Route::Direct => None,
            Route::Pooled => {
                let started = PgBouncer::start(&postgres, db.login()).await;
                if started.is_none() {
                    eprintln!("SKIPPED: PgBouncer is not installed");
                    return None;
                }
                started
            }
        };
        Some(Self { db, pgbouncer, redis, postgres })
    }

    /// Returns the URL of the server's database.
    pub(super) fn database_url(&self) -> String {
        match &self.pgbouncer {
            Some(pgbouncer) => pgbouncer.login_url(),
            None => self.db.login_url(),
        }
    }

    /// Runs statements as the superuser.
    pub(super) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.db.admin()).await.unwrap();
    }

    /// Runs a query that returns one number.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.unwrap()
    }

    /// Runs a query that returns two columns of text.
    pub(super) async fn pairs(&self, sql: &'static str) -> Vec<(String, String)> {
        sqlx::query_as(sql).fetch_all(self.db.admin()).await.unwrap()
    }

    /// Counts the sessions that the server, or PgBouncer for it, has in Postgres. `and` restricts which.
    pub(super) async fn sessions(&self, and: &str) -> i64 {
        let login = self.db.login().get_username().to_owned();
        self.number(&format!(
            "select count(*) from pg_stat_activity where usename = '{login}' {and}"
        ))
        .await
    }

    /// Terminates all of these sessions.
    pub(super) async fn terminate_backends(&self) {
        let login = self.db.login().get_username().to_owned();
        self.number(&format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{login}'"
        ))
        .await;
    }
}

impl Drop for Dependencies {
    fn drop(&mut self) {
        // A paused server would not drop the database.
        self.postgres.resume();
    }
}
