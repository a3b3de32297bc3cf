//! Creates roles and schemas, and applies migrations.

use std::fmt;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::database_roles::{ROLES, grant_roles, is_concurrent_change};
use super::restrict::{quoted, restrict};
use crate::pg::connection::roles::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
use crate::pg::connection::session::SessionMark;

/// The role that owns every table and runs the migrations.
pub(super) const OWNER_ROLE: &str = "mt_owner";

/// The library's own migrations, for schema `mt`.
static LIBRARY: Migrator = sqlx::migrate!("./migrations");

/// Returns the version of the newest migration of the library.
pub(in crate::pg) fn newest_version() -> i64 {
    LIBRARY.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Migrates a database to the schema that this version of the library requires, and the schemas of applications with
/// it.
///
/// It may run repeatedly and concurrently: one run applies the migrations, the others wait and find nothing to do.
///
/// ```no_run
/// use mt_core::pg::{MigrateError, Migration, ProductSchema, ServerLogin};
///
/// # async fn example(migrator: &sqlx::migrate::Migrator) -> Result<(), MigrateError> {
/// // The migrator of the application is that of `sqlx::migrate!()`.
/// Migration::library()
///     .with_product(ProductSchema { name: "shop", migrator })
///     .for_login(ServerLogin::Create("shop_server"))
///     .run(&"postgres://shop_migrator@localhost/shop".parse()?)
///     .await
/// # }
/// ```
#[derive(Debug)]
pub struct Migration<'m> {
    products: Vec<ProductSchema<'m>>,
    login: Option<ServerLogin<'m>>,
    system_login: Option<ServerLogin<'m>>,
}

/// An application's schema and its migrations.
///
/// They run as `mt_owner`, after the library's, with a record of their own in
/// `<schema>.schema_migrations`. Make each table safe with `select mt.isolate('<schema>.<table>');`.
#[derive(Clone, Copy)]
pub struct ProductSchema<'m> {
    /// The name of the schema, in lower case.
    pub name: &'m str,
    /// The migrations.
    pub migrator: &'m Migrator,
}

/// A login role of the server, which becomes a member of the library's roles.
#[derive(Clone, Copy, Debug)]
pub enum ServerLogin<'m> {
    /// Created without a password if it does not exist.
    Create(&'m str),
    /// The role exists.
    Existing(&'m str),
}

impl<'m> ServerLogin<'m> {
    pub(super) const fn name(self) -> &'m str {
        let (Self::Create(name) | Self::Existing(name)) = self;
        name
    }
}

impl<'m> Migration<'m> {
    /// Creates a migration of the library's schema.
    #[must_use]
    pub const fn library() -> Self {
        Self { products: Vec::new(), login: None, system_login: None }
    }

    /// Adds an application's schema.
    #[must_use]
    pub fn with_product(mut self, product: ProductSchema<'m>) -> Self {
        self.products.push(product);
        self
    }

    /// Adds privileges for the server's login.
    #[must_use]
    pub const fn for_login(mut self, login: ServerLogin<'m>) -> Self {
        self.login = Some(login);
        self
    }

    /// Adds privileges for the login of work across tenants
    /// ([`DatabaseOptions::system_login`](crate::pg::DatabaseOptions::system_login)). `mt_system` is revoked from the
    /// other login.
    #[must_use]
    pub const fn for_system_login(mut self, login: ServerLogin<'m>) -> Self {
        self.system_login = Some(login);
        self
    }

    /// Creates missing roles and schemas and applies pending migrations. If `connect` may do so, as the owner of the
    /// database may, it revokes from `public` the privilege to create temporary tables and, if a login was given, to
    /// connect. The given logins and the login of `connect` may still connect; others need a grant.
    ///
    /// `connect` is the migrator's login: it needs `CREATEROLE`, `CREATE` on the database, and a session of its own,
    /// which a pooler does not provide.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] when a step fails. Migrations that were applied before it stay applied.
    pub async fn run(&self, connect: &PgConnectOptions) -> Result<(), MigrateError> {
        let mark = SessionMark::new();
        let mut conn = match connected(&mark.on(connect.clone())).await {
            Err(error) if SessionMark::is_refused(&error) => return Err(MigrateError::Pooled),
            connected => connected?,
        };
        // A pooler would pass its locks and the owner's role on to the next client.
        if !mark.is_on(&mut conn).await? {
            return Err(MigrateError::Pooled);
        }
        let done = self.run_on(&mut conn).await;
        // Closed in either case, because it may have set the owner's role.
        let closed = conn.close().await;
        done?;
        Ok(closed?)
    }

    async fn run_on(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        // Concurrent `create schema if not exists` and `grant` fail. The lock is held until the session ends with
        // this run.
        conn.execute("select pg_advisory_lock(hashtext('mt migration'))").await?;
        self.make_roles(conn).await?;
        for (schema, migrator) in self.schemas() {
            Self::run_one(conn, schema, migrator).await?;
        }
        Ok(())
    }

    /// The schemas in the order in which they are migrated.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (&str, &Migrator)> {
        let products = self.products.iter().map(|product| (product.name, product.migrator));
        std::iter::once(("mt", &LIBRARY)).chain(products)
    }

    /// The given logins, each with the library's roles that it needs.
    pub(super) fn logins(&self) -> Vec<(ServerLogin<'m>, &'static [&'static str])> {
        let (app, system): (&[_], &[_]) = match self.system_login {
            None => (&[APP_ROLE, SYSTEM_ROLE, AUTHORITY_ROLE], &[]),
            Some(_) => (&[APP_ROLE, AUTHORITY_ROLE], &[APP_ROLE, SYSTEM_ROLE]),
        };
        let logins = [(self.login, app), (self.system_login, system)];
        logins.into_iter().filter_map(|(login, roles)| Some((login?, roles))).collect()
    }

    /// Roles belong to the cluster, but the lock to the database: a migration of another database may change the same
    /// rows of the catalogue, and one of the two fails.
    async fn make_roles(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        const ATTEMPTS: usize = 10;
        let mut attempt = 1;
        loop {
            let made = async {
                conn.execute(ROLES).await?;
                let logins = self.logins();
                for (login, roles) in &logins {
                    grant_roles(conn, *login, roles).await?;
                }
                restrict(conn, &logins.iter().map(|(login, _)| login.name()).collect::<Vec<_>>())
                    .await
            };
            match made.await {
                Err(error) if attempt < ATTEMPTS && is_concurrent_change(&error) => attempt += 1,
                done => return done,
            }
        }
    }

    async fn run_one(
        conn: &mut PgConnection,
        schema: &str,
        migrator: &Migrator,
    ) -> Result<(), MigrateError> {
        let name = quoted(schema);
        conn.execute(AssertSqlSafe(format!(
            "create schema if not exists {name} authorization {OWNER_ROLE}"
        )))
        .await?;
        conn.execute(AssertSqlSafe(format!("set role {OWNER_ROLE}"))).await?;
        let applied = recorded_in(schema, migrator).run_direct(None, conn, false).await;
        applied.map_err(|error| MigrateError::of(error, schema, migrator))?;
        // Servers read it to check whether their schema is up to date.
        conn.execute(AssertSqlSafe(format!(
            "grant usage on schema {name} to {APP_ROLE}, {SYSTEM_ROLE}; \
             grant select on {name}.schema_migrations to {APP_ROLE}, {SYSTEM_ROLE}"
        )))
        .await?;
        conn.execute("reset role").await?;
        Ok(())
    }

    /// Returns the checksum of each migration, with its schema. They identify a set of migrations.
    #[cfg(feature = "testing")]
    pub(crate) fn checksums(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let library = LIBRARY.iter().map(|migration| ("mt", &*migration.checksum));
        library.chain(self.products.iter().flat_map(|product| {
            product.migrator.iter().map(|migration| (product.name, &*migration.checksum))
        }))
    }

    /// Returns the migrations that this version requires and the database lacks, as `schema/version description`.
    /// Empty if the database is up to date.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] when the database cannot be read.
    pub async fn pending(&self, connect: &PgConnectOptions) -> Result<Vec<String>, MigrateError> {
        let looked = tokio::time::timeout(TIMEOUT, self.look_for_pending(connect)).await;
        looked.unwrap_or_else(|_| Err(silent().into()))
    }

    async fn look_for_pending(
        &self,
        connect: &PgConnectOptions,
    ) -> Result<Vec<String>, MigrateError> {
        let mut conn = connect.clone().disable_statement_logging().connect().await?;
        let mut pending = Vec::new();
        for (schema, migrator) in self.schemas() {
            let applied = applied(&mut conn, schema).await?;
            pending.extend(
                migrator
                    .iter()
                    .filter(|migration| !applied.contains(&migration.version))
                    .map(|migration| title(schema, migration)),
            );
        }
        conn.close().await?;
        Ok(pending)
    }
}

/// Returns how a migration is shown: `schema/version description`.
pub(super) fn title(schema: &str, migration: &sqlx::migrate::Migration) -> String {
    format!("{schema}/{:04} {}", migration.version, migration.description)
}

/// How long the server may take to respond before it counts as down.
const TIMEOUT: Duration = Duration::from_secs(10);

async fn connected(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = tokio::time::timeout(TIMEOUT, connect.connect()).await;
    connected.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Returns the applied versions. Empty as well if the login may not become `mt_app`, or `mt_app` may not read the
/// record yet: the migration grants that at its end.
async fn applied(conn: &mut PgConnection, schema: &str) -> Result<Vec<i64>, sqlx::Error> {
    // The roles that a login may set can read the record, not the login itself: the server sets `mt_app`, a migrator
    // that is not a superuser sets `mt_owner`.
    //
    // Simple messages are transactions of their own, so the role ends with its message and a pooler may be in
    // between.
    let role = format!(
        "select rolname::text from pg_roles \
         where rolname in ('{APP_ROLE}', '{OWNER_ROLE}') and pg_has_role(oid, \
             case when current_setting('server_version_num')::int >= 160000 \
                 then 'set' else 'member' end) \
         order by rolname limit 1",
    );
    let role = sqlx::raw_sql(AssertSqlSafe(role)).fetch_optional(&mut *conn).await?;
    let Some(role) = role else { return Ok(Vec::new()) };
    let role: String = role.try_get(0)?;
    let table = format!("{}.schema_migrations", quoted(schema));
    // The first migration creates the record before the role may read it.
    let exists = format!(
        "set local role {role}; \
         select exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = '{}' and c.relname = 'schema_migrations' \
                 and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))",
        schema.replace('\'', "''")
    );
    let row = sqlx::raw_sql(AssertSqlSafe(exists)).fetch_one(&mut *conn).await?;
    if !row.try_get::<bool, _>(0)? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "set local role {role}; select version from {table} where success order by version"
    );
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(conn).await?;
    rows.iter().map(|row| row.try_get("version")).collect()
}

/// Returns the migrations with their record in `schema`.
fn recorded_in(schema: &str, migrator: &Migrator) -> Migrator {
    let mut own = Migrator::with_migrations(migrator.iter().cloned().collect());
    own.dangerous_set_table_name(format!("{}.schema_migrations", quoted(schema)));
    own
}

/// Migrates a database to the library's schema and those of an application, and lets the server's login use them. `url` is
/// the login that migrates, `server` that of the server, as URLs; see [`Migration::run`].
///
/// ```no_run
/// # use mt_core::pg::{MigrateError, migrate};
/// # async fn example() -> Result<(), MigrateError> {
/// migrate("postgres://shop_migrator@localhost/shop", "postgres://shop_server@localhost/shop", &[]).await
/// # }
/// ```
///
/// # Errors
///
/// [`MigrateError`] when a text is not a URL of Postgres, or a step fails.
pub async fn migrate(
    url: &str,
    server: &str,
    schemas: &[ProductSchema<'_>],
) -> Result<(), MigrateError> {
    let server: PgConnectOptions = server.parse()?;
    let migration = Migration::library().for_login(ServerLogin::Existing(server.get_username()));
    let migration =
        schemas.iter().fold(migration, |migration, schema| migration.with_product(*schema));
    migration.run(&url.parse()?).await
}

impl fmt::Debug for ProductSchema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProductSchema").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The error when a database could not be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The login connects through a pooler, which shares its connections among clients.
    #[error(
        "migrations need a session of their own, and this address is a pooler's; \
         give the address of the Postgres behind it"
    )]
    Pooled,
    /// The connection failed, or roles or schemas could not be created.
    #[error("could not prepare the database for its migrations")]
    Prepare(#[from] sqlx::Error),
    /// An applied migration has changed since, or the connection failed.
    #[error("could not apply the migrations")]
    Apply(#[from] sqlx::migrate::MigrateError),
    /// A migration failed: Postgres refused a statement of it.
    #[error("migration `{migration}` fails: {message}")]
    Statement {
        /// The migration, as `schema/version description`.
        migration: String,
        /// What Postgres says.
        message: String,
    },
}

impl MigrateError {
    fn of(error: sqlx::migrate::MigrateError, schema: &str, migrator: &Migrator) -> Self {
        use sqlx::migrate::MigrateError::ExecuteMigration;

        // The text of sqlx ends with a line number, which is one of the C code of Postgres.
        if let ExecuteMigration(sqlx::Error::Database(refused), version) = &error
            && let Some(migration) = migrator.iter().find(|one| one.version == *version)
        {
            let (migration, message) = (title(schema, migration), refused.message().to_owned());
            return Self::Statement { migration, message };
        }
        error.into()
    }
}
