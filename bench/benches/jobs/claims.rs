//! Claims alone: what they cost Postgres, and in which order tenants get them.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use uuid::Uuid;

use super::cpu_time::cpu_time;
use super::pgbench::admin;
use super::world::World;

/// How many jobs are claimed to measure a claim.
const CLAIMS: u32 = 1500;

/// The message of a claim of one job, on a connection of a superuser.
pub(crate) struct Claims {
    conn: PgConnection,
    message: String,
}

impl Claims {
    /// Prepares the statement of the claim, as the library does.
    pub(crate) async fn new(world: &World, statements: &[String]) -> Self {
        let login = world.db.login();
        let admin = admin(login.get_database().unwrap_or_default());
        let mut conn = admin.connect().await.expect("a connection");
        let mut message = Vec::new();
        for sql in statements {
            if sql.starts_with("with next as") {
                let prepare = sqlx::raw_sql(AssertSqlSafe(format!("prepare claim as {sql}")));
                conn.execute(prepare).await.expect("a claim");
                message.push("execute claim");
            } else {
                message.push(sql);
            }
        }
        let message = message.join("; ");
        assert!(message.contains("execute claim"), "{message}");
        Self { conn, message }
    }

    /// The CPU time of Postgres for one claim, in microseconds.
    pub(crate) async fn cost(&mut self) -> f64 {
        let before = cpu_time(&mut self.conn).await;
        for _ in 0..CLAIMS {
            let sql = sqlx::raw_sql(AssertSqlSafe(self.message.clone()));
            self.conn.execute(sql).await.expect("a claim");
        }
        (cpu_time(&mut self.conn).await - before) / f64::from(CLAIMS)
    }

    /// How many claims it takes until a job of tenant number `tenant` is claimed; `None` if more than `most`.
    pub(crate) async fn until(&mut self, tenant: u32, most: u32) -> Option<u32> {
        let id = sqlx::query_scalar("select md5('t' || $1)::uuid").bind(tenant.to_string());
        let id: Uuid = id.fetch_one(&mut self.conn).await.expect("an id");
        for claims in 1..=most {
            let sql = sqlx::raw_sql(AssertSqlSafe(self.message.clone()));
            let claimed = sql.fetch_all(&mut self.conn).await.expect("a claim");
            assert_eq!(claimed.len(), 1);
            if claimed[0].get::<Uuid, _>("tenant_id") == id {
                return Some(claims);
            }
        }
        None
    }
}
