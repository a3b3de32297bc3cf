//! A migrated database for each test.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::str::FromStr as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgPool};

use crate::pg::{ConnectError, Database, DatabaseOptions, MigrateError, Migration, ProductSchema};
use crate::token::SecretToken;

/// The variable that names the server, by the URL of a superuser.
const URL: &str = "MT_TEST_DATABASE_URL";
/// The variable that names a pooler in front of it.
const POOLER_URL: &str = "MT_TEST_PGBOUNCER_URL";
/// The variable that, when set, has [`TestDatabase::connect`] go through the pooler.
const POOLED: &str = "MT_TEST_POOLED";
/// How long a test waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// A migrated database of a test's own, with a plain login. Gone from the server once the thread ends
/// that has dropped the value.
#[derive(Debug)]
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
    password: String,
    admin: PgPool,
}

impl TestDatabase {
    /// A database with the library's schema.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`].
    pub async fn create() -> Result<Self, TestDatabaseError> {
        Self::create_with(&[]).await
    }

    /// A database with the library's schema and an application's.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`].
    pub async fn create_with(products: &[ProductSchema<'_>]) -> Result<Self, TestDatabaseError> {
        let url = std::env::var(URL).map_err(|_| TestDatabaseError::NoServer)?;
        Self::create_on(PgConnectOptions::from_str(&url)?, products).await
    }

    /// The same on a server of one's own, given by a superuser's login.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`].
    pub async fn create_on(
        server: PgConnectOptions,
        products: &[ProductSchema<'_>],
    ) -> Result<Self, TestDatabaseError> {
        let template = template(&server, products).await?;

        let unique = uuid::Uuid::now_v7().simple().to_string();
        let name = format!("mt_test_{unique}");
        let password = SecretToken::generate().reveal().to_owned();
        let mut conn = server.connect().await?;
        // The login is the database's own, so that tests cannot trip over each other's rights.
        conn.execute(AssertSqlSafe(format!(
            "create role {name} login noinherit password '{password}' in role mt_app, mt_system, mt_authority"
        )))
        .await?;
        conn.execute(AssertSqlSafe(format!("create database {name} template {template}"))).await?;
        conn.close().await?;

        let admin = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(server.clone().database(&name))
            .await?;
        Ok(Self { server, name, password, admin })
    }

    /// How the plain login connects: what a server under test is given.
    #[must_use]
    pub fn login(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name).username(&self.name).password(&self.password)
    }

    /// The same as a URL.
    #[must_use]
    pub fn login_url(&self) -> String {
        self.login().to_url_lossy().to_string()
    }

    /// How the plain login connects through the pooler of `MT_TEST_PGBOUNCER_URL`, which is in
    /// transaction mode; `None` without one.
    ///
    /// # Panics
    ///
    /// When the variable holds no URL of a Postgres.
    #[must_use]
    pub fn pooled_login(&self) -> Option<PgConnectOptions> {
        let url = std::env::var(POOLER_URL).ok()?;
        let pooler = PgConnectOptions::from_str(&url).expect("a URL of a Postgres");
        Some(self.login().host(pooler.get_host()).port(pooler.get_port()))
    }

    /// A pool of the plain login's, with `connections` connections.
    ///
    /// With `MT_TEST_POOLED` set they go through the pooler, so that one test can be run in both ways.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Panics
    ///
    /// When `MT_TEST_POOLED` is set and there is no pooler.
    pub async fn connect(&self, connections: u32) -> Result<Database, ConnectError> {
        let login = if std::env::var_os(POOLED).is_some() {
            self.pooled_login().expect("a pooler in `MT_TEST_PGBOUNCER_URL`")
        } else {
            self.login()
        };
        let options = DatabaseOptions::new(login).max_connections(connections);
        // Tests share a machine: that a connection takes its time says nothing about what they try.
        Database::connect(options.acquire_timeout(PATIENCE)).await
    }

    /// A superuser's pool: row-level security does not apply to it. For setting up, and for seeing
    /// what is really there.
    #[must_use]
    pub const fn admin(&self) -> &PgPool {
        &self.admin
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let left = LeftBehind { server: self.server.clone(), name: self.name.clone() };
        // At the very end of a thread there is no later: then `left` is dropped here.
        let _ = AT_THREADS_END.try_with(|all| all.borrow_mut().push(left));
    }
}

thread_local! {
    /// Dropped from the server when the thread ends, and with it the test's runtime.
    ///
    /// Not earlier: to wait for the server inside a runtime keeps that runtime's connections from
    /// answering it, and `drop database` waits for every connection, of whatever database, that is
    /// about to log in. It would wait until `authentication_timeout` ends that one: a minute.
    static AT_THREADS_END: RefCell<Vec<LeftBehind>> = const { RefCell::new(Vec::new()) };
}

/// A database that nobody uses any more, with the login that was made for it.
struct LeftBehind {
    server: PgConnectOptions,
    name: String,
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        let Self { server, name } = self;
        // A thread of its own, since this one may be at an end; joined, because the process may be.
        let dropped = std::thread::scope(|scope| {
            let dropping = scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                runtime.block_on(async {
                    let mut conn = server.connect().await.ok()?;
                    let sql = format!("drop database if exists {name} with (force)");
                    conn.execute(AssertSqlSafe(sql)).await.ok()?;
                    conn.execute(AssertSqlSafe(format!("drop role if exists {name}"))).await.ok()
                })
            });
            dropping.join()
        });
        // A left-over database is a nuisance and no failure of the test.
        drop(dropped);
    }
}

/// The name of a database to clone, made now if no test before has made it.
async fn template(
    server: &PgConnectOptions,
    products: &[ProductSchema<'_>],
) -> Result<String, TestDatabaseError> {
    let migration =
        products.iter().fold(Migration::library(), |all, product| all.with_product(*product));
    let name = format!("mt_template_{}", fingerprint(&migration));
    let mut conn = server.connect().await?;
    // Test processes run side by side; one makes it, the others wait here. Released with the session.
    conn.execute("select pg_advisory_lock(hashtext('mt test template'))").await?;
    let done = make_template(&mut conn, server, &migration, &name).await;
    conn.close().await?;
    done.map(|()| name)
}

async fn make_template(
    conn: &mut PgConnection,
    server: &PgConnectOptions,
    migration: &Migration<'_>,
    name: &str,
) -> Result<(), TestDatabaseError> {
    let exists: bool =
        sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut *conn)
            .await?;
    if exists {
        return Ok(());
    }
    // Under another name until it is whole: a killed run leaves no half-migrated template behind.
    let draft = format!("{name}_draft");
    conn.execute(AssertSqlSafe(format!("drop database if exists {draft} with (force)"))).await?;
    conn.execute(AssertSqlSafe(format!("create database {draft}"))).await?;
    migration.run(&server.clone().database(&draft)).await?;
    conn.execute(AssertSqlSafe(format!("alter database {draft} rename to {name}"))).await?;
    Ok(())
}

/// Sixteen hex digits that change with any migration.
fn fingerprint(migration: &Migration<'_>) -> String {
    let mut hash = Sha256::new();
    for (schema, checksum) in migration.checksums() {
        hash.update(schema.as_bytes());
        hash.update(checksum);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Why there is no database to test with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestDatabaseError {
    /// Its migrations failed.
    #[error("could not migrate the test database")]
    Migrate(#[from] MigrateError),
    /// Nobody said where.
    #[error("`{URL}` is not set; run the tests with `make test`, or set it to a superuser's URL")]
    NoServer,
    /// The server did not play along.
    #[error("could not make a test database")]
    Server(#[from] sqlx::Error),
}
