//! Roles, schemas and migrations.

use std::fmt;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::database::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
use super::session::SessionMark;

/// The role that owns every table, and as which migrations run.
const OWNER_ROLE: &str = "mt_owner";

/// The library's own migrations, for schema `mt`.
static LIBRARY: Migrator = sqlx::migrate!("../migrations");

/// Brings a database to the schema that this version of the library expects, and an application's
/// own schemas with it.
///
/// Running it twice, or twice at the same time, is fine: one applies, the other waits and finds
/// nothing to do.
#[derive(Debug)]
pub struct Migration<'m> {
    products: Vec<ProductSchema<'m>>,
    login: Option<ServerLogin<'m>>,
}

/// An application's own tables: a schema, and the migrations that fill it.
///
/// They run as `mt_owner`, after the library's, with a record of their own in
/// `<schema>.schema_migrations`. Make each table safe with `select mt.isolate('<schema>.<table>');`.
#[derive(Clone, Copy)]
pub struct ProductSchema<'m> {
    /// The schema's name, in lower case.
    pub name: &'m str,
    /// What fills it.
    pub migrator: &'m Migrator,
}

/// The role that the server logs in as, which is to become a member of `mt_app` and `mt_system`.
#[derive(Clone, Copy, Debug)]
pub enum ServerLogin<'m> {
    /// Made here, without a password, when it is not there yet.
    Create(&'m str),
    /// It exists.
    Existing(&'m str),
}

impl<'m> Migration<'m> {
    /// The library's schema alone.
    #[must_use]
    pub const fn library() -> Self {
        Self { products: Vec::new(), login: None }
    }

    /// With an application's schema.
    #[must_use]
    pub fn with_product(mut self, product: ProductSchema<'m>) -> Self {
        self.products.push(product);
        self
    }

    /// With rights for the server's login.
    #[must_use]
    pub const fn for_login(mut self, login: ServerLogin<'m>) -> Self {
        self.login = Some(login);
        self
    }

    /// Makes the roles and schemas that are missing and applies what was not applied yet.
    ///
    /// `connect` is the migrator's login: it needs `CREATEROLE` and `CREATE` on the database, and a
    /// session of its own, which a pooler does not give.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; migrations that were applied before the failing one stay applied.
    pub async fn run(&self, connect: &PgConnectOptions) -> Result<(), MigrateError> {
        let mark = SessionMark::new();
        let mut conn = match connected(&mark.on(connect.clone())).await {
            Err(error) if SessionMark::is_refused(&error) => return Err(MigrateError::Pooled),
            connected => connected?,
        };
        // Behind a pooler its locks and the owner's role would be left to the next client.
        if !mark.is_on(&mut conn).await? {
            return Err(MigrateError::Pooled);
        }
        let done = self.run_on(&mut conn).await;
        // Closed in either case: it may have taken on the owner's role.
        let closed = conn.close().await;
        done?;
        Ok(closed?)
    }

    async fn run_on(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        // `create schema if not exists` and `grant` fail when two do the same at once. Held until the
        // session ends, which is with this run.
        conn.execute("select pg_advisory_lock(hashtext('mt migration'))").await?;
        self.make_roles(conn).await?;
        Self::run_one(conn, "mt", &LIBRARY).await?;
        for product in &self.products {
            Self::run_one(conn, product.name, product.migrator).await?;
        }
        Ok(())
    }

    /// Roles belong to the cluster, and the lock to the database: the migration of another one may be
    /// changing the same rows of the catalogue, which makes one of the two fail.
    async fn make_roles(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        const ATTEMPTS: usize = 10;
        let mut attempt = 1;
        loop {
            let made = async {
                conn.execute(ROLES).await?;
                match self.login {
                    Some(login) => grant_roles(conn, login).await,
                    None => Ok(()),
                }
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
        recorded_in(schema, migrator).run_direct(None, conn, false).await?;
        // So that a server can tell whether its schema is behind.
        conn.execute(AssertSqlSafe(format!(
            "grant usage on schema {name} to {APP_ROLE}, {SYSTEM_ROLE}; \
             grant select on {name}.schema_migrations to {APP_ROLE}, {SYSTEM_ROLE}"
        )))
        .await?;
        conn.execute("reset role").await?;
        Ok(())
    }

    /// The checksum of each migration, with the schema that it is for: what tells two sets apart.
    #[cfg(feature = "testing")]
    pub(crate) fn checksums(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let library = LIBRARY.iter().map(|migration| ("mt", &*migration.checksum));
        library.chain(self.products.iter().flat_map(|product| {
            product.migrator.iter().map(|migration| (product.name, &*migration.checksum))
        }))
    }

    /// The migrations that this version expects and the database does not have, as
    /// `schema/version description`. Empty when the database is up to date.
    ///
    /// # Errors
    ///
    /// [`MigrateError`].
    pub async fn pending(&self, connect: &PgConnectOptions) -> Result<Vec<String>, MigrateError> {
        let looked = tokio::time::timeout(ANSWERED_WITHIN, self.look_for_pending(connect)).await;
        looked.unwrap_or_else(|_| Err(silent().into()))
    }

    async fn look_for_pending(
        &self,
        connect: &PgConnectOptions,
    ) -> Result<Vec<String>, MigrateError> {
        let mut conn = connect.connect().await?;
        let mut pending = Vec::new();
        let product = self.products.iter().map(|product| (product.name, product.migrator));
        for (schema, migrator) in std::iter::once(("mt", &LIBRARY)).chain(product) {
            let applied = applied(&mut conn, schema).await?;
            pending.extend(
                migrator
                    .iter()
                    .filter(|migration| !applied.contains(&migration.version))
                    .map(|m| format!("{schema}/{:04} {}", m.version, m.description)),
            );
        }
        conn.close().await?;
        Ok(pending)
    }
}

/// How long a server may take to answer before it counts as away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

async fn connected(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = tokio::time::timeout(ANSWERED_WITHIN, connect.connect()).await;
    connected.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// The versions on record. None, too, where the login may not become `mt_app`, or `mt_app` may not read
/// the record yet: running the migration is what grants that, at its end.
async fn applied(conn: &mut PgConnection, schema: &str) -> Result<Vec<i64>, sqlx::Error> {
    // The record is readable to the roles that a login may take on and not to the login itself: the
    // server takes on `mt_app`, a migrator that is no superuser `mt_owner`.
    //
    // All by simple messages, each a transaction of its own: so the role ends with its message, and a
    // pooler may stand between.
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
    // A first migration makes the record before the role may read it, which it may at the migration's end.
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

/// The same migrations, with their record beside what they made.
fn recorded_in(schema: &str, migrator: &Migrator) -> Migrator {
    let mut own = Migrator::with_migrations(migrator.iter().cloned().collect());
    own.dangerous_set_table_name(format!("{}.schema_migrations", quoted(schema)));
    own
}

/// Whether another session has changed the same row of the catalogue at the same moment: Postgres reports
/// `tuple concurrently updated` as an internal error, and a row that both insert as a duplicate.
fn is_concurrent_change(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("XX000" | "23505"))
}

/// Makes the four roles. Roles belong to the cluster and not to the database, so another database's
/// migration may be making them at the same moment.
///
/// Since Postgres 16, whoever makes a role is a member of it and still may not take it on
/// (`createrole_self_grant`), so there the question is `set`, a word that Postgres 15 does not know.
const ROLES: &str = "
do $$
declare wanted text;
begin
    foreach wanted in array array['mt_owner', 'mt_app', 'mt_system', 'mt_authority'] loop
        if not exists (select 1 from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin nosuperuser nobypassrls nocreatedb nocreaterole', wanted);
            exception when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
    if not pg_has_role(current_user, 'mt_owner',
        case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
    then
        execute format('grant mt_owner to %I', current_user);
    end if;
end $$";

async fn grant_roles(conn: &mut PgConnection, login: ServerLogin<'_>) -> Result<(), sqlx::Error> {
    if let ServerLogin::Create(name) = login {
        let exists: bool =
            sqlx::query_scalar("select exists (select 1 from pg_roles where rolname = $1)")
                .bind(name)
                .fetch_one(&mut *conn)
                .await?;
        if !exists {
            conn.execute(AssertSqlSafe(format!("create role {} login", quoted(name)))).await?;
        }
    }
    let (ServerLogin::Create(name) | ServerLogin::Existing(name)) = login;
    // It may become these roles, and must not be them already: `mt_system`'s policies would hold for
    // each of its bare queries. Since Postgres 16 that is said of the grant, before of the role.
    let (superuser, version): (bool, i32) = sqlx::query_as(
        "select rolsuper, current_setting('server_version_num')::int \
         from pg_roles where rolname = $1",
    )
    .bind(name)
    .fetch_one(&mut *conn)
    .await?;
    let name = quoted(name);
    let grant = format!("grant {APP_ROLE}, {SYSTEM_ROLE}, {AUTHORITY_ROLE} to {name}");
    let sql = match (superuser, version) {
        (true, _) => grant,
        (false, ..160_000) => format!("{grant}; alter role {name} noinherit"),
        (false, _) => format!("{grant} with inherit false, set true"),
    };
    conn.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

/// `name` as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Debug for ProductSchema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProductSchema").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a database could not be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A pooler stands between, which lends its connections to others in turn.
    #[error(
        "migrations need a session of their own, and this address is a pooler's; \
         give the address of the Postgres behind it"
    )]
    Pooled,
    /// The connection, the roles or the schemas.
    #[error("could not prepare the database for its migrations")]
    Prepare(#[from] sqlx::Error),
    /// A migration failed, or one that was applied has changed since.
    #[error("could not apply the migrations")]
    Apply(#[from] sqlx::migrate::MigrateError),
}
