//! A migrated database for each test.

use std::cell::RefCell;
use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::str::FromStr as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgPool};

use crate::pg::{ConnectError, Database, DatabaseOptions, MigrateError, Migration, ProductSchema};
use crate::token::SecretToken;

/// The variable with the URL of the server, for a superuser.
const URL: &str = "MT_TEST_DATABASE_URL";
/// The variable with the URL of a pooler in front of the server.
const POOLER_URL: &str = "MT_TEST_PGBOUNCER_URL";
/// The variable that, if set, makes [`TestDatabase::connect`] use the pooler.
const POOLED: &str = "MT_TEST_POOLED";
/// How long a test waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A migrated database of one test, with a plain login. It is dropped from the server when the thread ends that drops
/// the value.
///
/// ```
/// use mt_core::email::EmailAddress;
/// use mt_core::pg::{SystemReason, Tenant, User};
/// use mt_core::testing::TestDatabase;
///
/// mt_core::model! {
///     pub Shop;
///     roles Role { Owner = "owner" (owner) }
///     plans Plan { Free = "free" (initial) }
///     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
/// }
///
/// const SETUP: SystemReason = SystemReason::new("set a test up");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
/// let db = TestDatabase::create().await?;
/// let database = db.connect(2).await?;
///
/// // A user and their tenant, as the service makes them.
/// let mut tx = database.system().begin(SETUP).await?;
/// let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
/// let shop = Tenant::create::<Shop>(&mut tx, "Ada's shop", ada.id).await?;
/// tx.commit().await?;
///
/// // A look past row-level security, as a superuser.
/// let count = "select count(*) from mt.memberships where tenant_id = $1";
/// let members: i64 = sqlx::query_scalar(count).bind(shop.id.as_uuid()).fetch_one(db.admin()).await?;
/// assert_eq!(members, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
    password: String,
    admin: PgPool,
}

impl TestDatabase {
    /// Creates a database with the library's schema.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`] when the server is not configured, or its setup fails.
    pub async fn create() -> Result<Self, TestDatabaseError> {
        Self::create_with(&[]).await
    }

    /// Creates a database with the library's schema and application schemas.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`] when the server is not configured, or its setup fails.
    pub async fn create_with(products: &[ProductSchema<'_>]) -> Result<Self, TestDatabaseError> {
        let url = std::env::var(URL).map_err(|_| TestDatabaseError::NoServer)?;
        Self::create_on(PgConnectOptions::from_str(&url)?, products).await
    }

    /// Creates a database on the server of a superuser's login.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`] when its setup fails.
    pub async fn create_on(
        server: PgConnectOptions,
        products: &[ProductSchema<'_>],
    ) -> Result<Self, TestDatabaseError> {
        let template = template(&server, products).await?;

        let unique = uuid::Uuid::now_v7().simple().to_string();
        let name = format!("mt_test_{unique}");
        let password = SecretToken::generate().reveal().to_owned();
        let mut conn = server.connect().await?;
        // The login belongs to the database, so that tests do not share privileges.
        for (login, roles) in [
            (tenants_login(&name), "mt_app, mt_authority".to_owned()),
            (system_login(&name), "mt_app, mt_system".to_owned()),
            // Membership in the other two marks it as a login of this service.
            (
                name.clone(),
                format!(
                    "mt_app, mt_system, mt_authority, {}, {}",
                    tenants_login(&name),
                    system_login(&name)
                ),
            ),
        ] {
            let role = format!("login noinherit password '{password}' in role {roles}");
            conn.execute(AssertSqlSafe(format!("create role {login} {role}"))).await?;
        }
        conn.execute(AssertSqlSafe(format!("create database {name} template {template}"))).await?;
        // A clone does not copy privileges, so those of the migration are set again.
        conn.execute(AssertSqlSafe(format!(
            "revoke connect, temporary on database {name} from public; \
             grant connect on database {name} to {name}, {}, {}",
            tenants_login(&name),
            system_login(&name)
        )))
        .await?;
        conn.close().await?;

        let admin = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(server.clone().database(&name))
            .await?;
        Ok(Self { server, name, password, admin })
    }

    /// Returns how the plain login connects, for a server under test. It serves both tenants and the system.
    #[must_use]
    pub fn login(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name).username(&self.name).password(&self.password)
    }

    /// Returns a login for tenants, which cannot become `mt_system`, and one for the system.
    #[must_use]
    pub fn two_logins(&self) -> (PgConnectOptions, PgConnectOptions) {
        let login = |name: String| self.login().username(&name);
        (login(tenants_login(&self.name)), login(system_login(&self.name)))
    }

    /// Returns the URL of the plain login.
    #[must_use]
    pub fn login_url(&self) -> String {
        self.login().to_url_lossy().to_string()
    }

    /// Returns how the plain login connects through the pooler of `MT_TEST_PGBOUNCER_URL`, which is in transaction
    /// mode; `None` without a pooler.
    ///
    /// # Panics
    ///
    /// When the variable holds an invalid URL.
    #[must_use]
    pub fn pooled_login(&self) -> Option<PgConnectOptions> {
        pooled(self.login())
    }

    /// Returns the options that [`connect`](Self::connect) uses.
    ///
    /// # Panics
    ///
    /// When `MT_TEST_POOLED` is set without a pooler.
    #[must_use]
    pub fn options(&self, connections: u32) -> DatabaseOptions {
        let (tenants, system) = self.two_logins();
        let through = |login| {
            if std::env::var_os(POOLED).is_none() {
                return login;
            }
            pooled(login).expect("a pooler in `MT_TEST_PGBOUNCER_URL`")
        };
        let options = DatabaseOptions::new(through(tenants)).system_login(through(system));
        let options = options.max_connections(connections);
        // Tests share a machine, so slow connections are not failures.
        options.acquire_timeout(CONNECT_TIMEOUT)
    }

    /// Connects with two logins, each with a pool of `connections`.
    ///
    /// If `MT_TEST_POOLED` is set, they connect through the pooler, so that a test runs in both ways.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the database refuses the logins.
    ///
    /// # Panics
    ///
    /// When `MT_TEST_POOLED` is set without a pooler.
    pub async fn connect(&self, connections: u32) -> Result<Database, ConnectError> {
        Database::connect(self.options(connections)).await
    }

    /// Returns the pool of a superuser, to whom row-level security does not apply: for setup and verification.
    #[must_use]
    pub const fn admin(&self) -> &PgPool {
        &self.admin
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let left = LeftBehind { server: self.server.clone(), name: self.name.clone() };
        // At the very end of a thread there is no thread-local storage: then `left` is dropped here.
        let _ = AT_THREADS_END.try_with(|all| all.borrow_mut().push(left));
    }
}

thread_local! {
    /// Databases that are dropped from the server when the thread ends, after the test's runtime.
    ///
    /// Not earlier: waiting for the server inside the runtime blocks the runtime's connections, and `drop database`
    /// waits for every connection to any database that is logging in. It would wait for `authentication_timeout`, a
    /// minute.
    static AT_THREADS_END: RefCell<Vec<LeftBehind>> = const { RefCell::new(Vec::new()) };
}

/// A database that is no longer used, with the logins that were created for it.
struct LeftBehind {
    server: PgConnectOptions,
    name: String,
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        let Self { server, name } = self;
        // On a thread of its own, because this one may be ending; joined, because the process may be ending.
        let dropped = std::thread::scope(|scope| {
            let dropping = scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                runtime.block_on(async {
                    let mut conn = server.connect().await.ok()?;
                    let sql = format!("drop database if exists {name} with (force)");
                    conn.execute(AssertSqlSafe(sql)).await.ok()?;
                    let logins = [name.clone(), tenants_login(name), system_login(name)].join(", ");
                    conn.execute(AssertSqlSafe(format!("drop role if exists {logins}"))).await.ok()
                })
            });
            dropping.join()
        });
        // A database that is left over does not fail the test.
        drop(dropped);
    }
}

/// Returns `login` through the pooler of `MT_TEST_PGBOUNCER_URL`; `None` without a pooler.
fn pooled(login: PgConnectOptions) -> Option<PgConnectOptions> {
    let url = std::env::var(POOLER_URL).ok()?;
    let pooler = PgConnectOptions::from_str(&url).expect("a URL of a Postgres");
    Some(login.host(pooler.get_host()).port(pooler.get_port()))
}

/// Returns the login of tenants in the database `name`.
fn tenants_login(name: &str) -> String {
    format!("{name}_t")
}

/// Returns the login of the system in the database `name`.
fn system_login(name: &str) -> String {
    format!("{name}_s")
}

/// Returns the name of the template database, created now if no earlier test created it.
async fn template(
    server: &PgConnectOptions,
    products: &[ProductSchema<'_>],
) -> Result<String, TestDatabaseError> {
    let migration =
        products.iter().fold(Migration::library(), |all, product| all.with_product(*product));
    let name = format!("mt_template_{}", fingerprint(&migration));
    let mut conn = server.connect().await?;
    // Test processes run in parallel; one creates the template while the others wait here. The lock is released with
    // the session.
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
    // Renamed when it is complete, so that a killed run leaves no half-migrated template.
    let draft = format!("{name}_draft");
    conn.execute(AssertSqlSafe(format!("drop database if exists {draft} with (force)"))).await?;
    conn.execute(AssertSqlSafe(format!("create database {draft}"))).await?;
    migration.run(&server.clone().database(&draft)).await?;
    conn.execute(AssertSqlSafe(format!("alter database {draft} rename to {name}"))).await?;
    Ok(())
}

/// Returns sixteen hex digits that change with any migration.
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

/// The error when a test database could not be created. `Debug`, which a panic of `unwrap` shows, is the text with its
/// causes.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestDatabaseError {
    /// The migrations failed.
    #[error("could not migrate the test database")]
    Migrate(#[from] MigrateError),
    /// The variable for the server is not set.
    #[error(
        "`{URL}` is not set; the tests need the URL of a superuser of a Postgres that is made for tests, such as \
         postgres://postgres:postgres@localhost/postgres"
    )]
    NoServer,
    /// The server returned an error.
    #[error("could not create a test database")]
    Server(#[from] sqlx::Error),
}

impl fmt::Debug for TestDatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_unwrap_names_the_variable_and_the_causes() {
        assert!(
            format!("{:?}", TestDatabaseError::NoServer)
                .contains("`MT_TEST_DATABASE_URL` is not set")
        );
        let error = TestDatabaseError::from(sqlx::Error::PoolClosed);
        let text = format!("{error:?}");
        assert!(text.starts_with("could not create a test database: "), "{text}");
    }
}
