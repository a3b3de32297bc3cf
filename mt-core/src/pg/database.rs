//! The one pool of connections, and what is refused at its door.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::QueueMode;
use sqlx::Row as _;
use sqlx::postgres::PgConnectOptions;

use super::connecting::Greeting;
use super::connections::{self, Connections, Lease, Pool};
use super::exchange::Mode;
use super::open_tx::{End, OpenTx};
use super::opening::Opening;
use super::pool_stats::{PoolStats, Waits};
use super::probe::Probe;
use super::{PgError, PrincipalPool, SystemPool, TenantPool, extensions, session};
use crate::access::AccessModel;
use crate::billing::StandingPolicy;

/// The role that tenant and principal transactions run as.
pub const APP_ROLE: &str = "mt_app";
/// The role that reads what a decision is made on, and nothing else, before a tenant's transaction goes on.
pub const AUTHORITY_ROLE: &str = "mt_authority";
/// The role that system transactions run as.
pub const SYSTEM_ROLE: &str = "mt_system";

/// How to reach Postgres, and how much of it to use.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    connect: PgConnectOptions,
    max_connections: u32,
    acquire_timeout: Duration,
    statements: Option<Statements>,
    login: Option<&'static str>,
    privileged_login: PrivilegedLogin,
}

/// Whether statements may be prepared under a name that outlives a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Statements {
    /// Prepared once a connection, then one round trip each.
    Named,
    /// Prepared each time. For a pooler in transaction mode that does not track prepared
    /// statements (`PgBouncer` before 1.21): with names, one client's statement would meet another
    /// client's server connection.
    Unnamed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PrivilegedLogin {
    Refused,
    Warned,
}

impl DatabaseOptions {
    /// Sixteen connections, two seconds to get one, named statements unless a pooler stands between.
    #[must_use]
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(2),
            statements: None,
            login: None,
            privileged_login: PrivilegedLogin::Refused,
        }
    }

    /// At most this many connections at once, and one more for [`Database::ping`] unless this is one.
    #[must_use]
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// How long a request waits for a connection before it is told that there is none.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Whether statements are prepared under names. Unless this says so, one more connection is made
    /// at first to find out whether it is a session of its own.
    #[must_use]
    pub fn statements(mut self, statements: Statements) -> Self {
        self.statements = Some(statements);
        self
    }

    /// Says `set session authorization login` on each new connection: for an engine that lets
    /// everybody in as its superuser.
    #[must_use]
    pub fn session_authorization(mut self, login: &'static str) -> Self {
        self.login = Some(login);
        self
    }

    /// Accepts a login that is a superuser, has `BYPASSRLS` or owns the tables, with a warning.
    ///
    /// Each transaction still runs as `mt_app` or `mt_system`, but nothing stands behind that any
    /// more. For development.
    #[must_use]
    pub fn insecure_allow_privileged_login(mut self) -> Self {
        self.privileged_login = PrivilegedLogin::Warned;
        self
    }
}

/// One pool of connections, out of which come transactions and nothing else.
///
/// Code that holds a `Database`, or a pool made from it, cannot run a query outside of a
/// transaction that names its tenant, its principal or its reason.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    acquire_timeout: Duration,
    statements: Statements,
    waits: Arc<Waits>,
    probe: Option<Arc<Probe>>,
}

impl Database {
    /// Connects, and makes sure that row-level security applies to what will run here.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PrivilegedLogin`] when the login could skip every policy,
    /// [`ConnectError::NotAMember`] when it may not become `mt_app`, `mt_system` and `mt_authority`,
    /// [`ConnectError::Inherits`] when it has their rights without becoming them,
    /// [`ConnectError::BypassesRls`] when those roles themselves skip policies,
    /// [`ConnectError::UnsupportedExtension`] when the database has an extension such as Citus.
    pub async fn connect(options: DatabaseOptions) -> Result<Self, ConnectError> {
        let DatabaseOptions {
            connect,
            max_connections,
            acquire_timeout,
            statements,
            login,
            privileged_login,
        } = options;
        let statements = match statements {
            Some(statements) => statements,
            None if session::is_own(connect.clone(), acquire_timeout).await? => Statements::Named,
            None => Statements::Unnamed,
        };
        let checks_client = statements == Statements::Named && login.is_none();
        let connections = Connections::new(connect, Greeting { login, checks_client });
        // An engine with a single connection has none to spare.
        let probe = (max_connections > 1).then(|| Arc::new(connections.probe()));
        let pool = Pool::builder(connections)
            .max_size(usize::try_from(max_connections).unwrap_or(usize::MAX))
            // What was used last is warm; the others are there for a rush.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts needs no runtime");
        let waits = Arc::default();
        let database = Self { pool, acquire_timeout, statements, waits, probe };
        extensions::check(&database).await?;
        database.check_roles(privileged_login).await?;
        Ok(database)
    }

    /// Opens every connection that the pool may have, one after another, before somebody waits for
    /// one. Stops at the first that cannot be had: what is missing is opened when it is needed.
    ///
    /// Logging in hashes the password 4096 times, and the driver gives way to the runtime's other
    /// tasks eight hundred times meanwhile. Where those are busy a login can outlast
    /// [`DatabaseOptions::acquire_timeout`], and its request is refused while connections are idle.
    pub async fn warm_up(&self) {
        let mut open = Vec::new();
        while self.pool.status().size < self.pool.status().max_size {
            match self.acquire().await {
                Ok(connection) => open.push(connection),
                Err(error) => {
                    let error = error.into_driver_error();
                    return tracing::warn!(%error, "not every connection could be opened");
                }
            }
        }
    }

    /// Transactions in a tenant, for the application described by `M`.
    #[must_use]
    pub fn tenants<M: AccessModel>(&self, standing: StandingPolicy) -> TenantPool<M> {
        TenantPool::new(self.clone(), standing)
    }

    /// Transactions in which one principal sees what is theirs in every tenant.
    #[must_use]
    pub fn principals(&self) -> PrincipalPool {
        PrincipalPool::new(self.clone())
    }

    /// Transactions across tenants, each with a named reason.
    #[must_use]
    pub fn system(&self) -> SystemPool {
        SystemPool::new(self.clone())
    }

    /// Asks the server for a sign of life, on a connection of its own: a pool that is busy is no reason
    /// to take a server out of rotation, and a database that does not answer is. (A database with a
    /// single connection is asked on that.)
    ///
    /// # Errors
    ///
    /// [`PgError::Unavailable`] when there is none within two seconds.
    pub async fn ping(&self) -> Result<(), PgError> {
        match &self.probe {
            Some(probe) => probe.ping().await,
            None => OpenTx::whole(self, &Opening::alone(Mode::Read, "select 1")).await.map(drop),
        }
    }

    /// Which version of Postgres it is, as the server says it: `15.20 (Debian 15.20-0+deb12u1)`.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn server_version(&self) -> Result<String, PgError> {
        let sql = "select current_setting('server_version')";
        let rows = OpenTx::whole(self, &Opening::alone(Mode::Read, sql)).await?;
        Ok(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?)
    }

    /// Closes the connections, waiting a few seconds for those in use to come back. A transaction that
    /// is asked for from here on is refused.
    pub async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        if let Some(probe) = &self.probe {
            probe.close().await;
        }
        self.pool.manager().close(idle).await;
    }

    pub(super) fn connect_options(&self) -> PgConnectOptions {
        self.pool.manager().options().clone()
    }

    pub(super) async fn acquire(&self) -> Result<Lease, PgError> {
        let wait = self.waits.begin();
        let got = tokio::time::timeout(self.acquire_timeout, self.pool.get()).await;
        let got = got.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(connections::error);
        // Whatever keeps a connection from being made: without one there is no database.
        let connection = got.map_err(PgError::Unavailable)?;
        wait.got_one();
        Ok(connection)
    }

    /// How the pool is doing.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        let status = self.pool.status();
        self.waits.stats(status.max_size, status.size, status.available)
    }

    /// Whether statements are prepared under names: as asked for, or as it was found out.
    #[must_use]
    pub const fn statements(&self) -> Statements {
        self.statements
    }

    /// A transaction that changes nothing, for questions about the database itself. Without one, a
    /// pooler may have each half of a prepared statement answered by another connection.
    pub(super) async fn begin_looking(&self) -> Result<OpenTx, PgError> {
        let (tx, _) = OpenTx::begin(self, &Opening::of_looking()).await?;
        Ok(tx)
    }

    async fn check_roles(&self, privileged: PrivilegedLogin) -> Result<(), ConnectError> {
        let unavailable = PgError::into_driver_error;
        let mut tx = self.begin_looking().await.map_err(unavailable)?;
        let (login, skips, inherits, app, system, authority): (
            String,
            bool,
            Option<bool>,
            Option<bool>,
            Option<bool>,
            Option<bool>,
        ) =
            sqlx::query_as(
                "select session_user::text, \
                     r.rolsuper or r.rolbypassrls or exists ( \
                         select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                         where n.nspname = 'mt' and c.relkind in ('r', 'p') \
                             and pg_has_role(r.oid, c.relowner, 'member')), \
                     (select pg_has_role(r.oid, s.oid, 'usage') from pg_roles s where s.rolname = $2), \
                     (select pg_has_role(r.oid, a.oid, 'member') from pg_roles a where a.rolname = $1), \
                     (select pg_has_role(r.oid, s.oid, 'member') from pg_roles s where s.rolname = $2), \
                     (select pg_has_role(r.oid, f.oid, 'member') from pg_roles f where f.rolname = $3) \
                 from pg_roles r where r.rolname = session_user",
            )
            .bind(APP_ROLE)
            .bind(SYSTEM_ROLE)
            .bind(AUTHORITY_ROLE)
            .fetch_one(tx.conn())
            .await?;
        for (role, member) in [(APP_ROLE, app), (SYSTEM_ROLE, system), (AUTHORITY_ROLE, authority)]
        {
            match member {
                Some(true) => {}
                Some(false) => return Err(ConnectError::NotAMember { login, role }),
                None => return Err(ConnectError::RoleMissing { role }),
            }
        }
        let bypassing: Option<String> = sqlx::query_scalar(
            "select rolname::text from pg_roles \
             where rolname in ($1, $2, $3) and (rolsuper or rolbypassrls) order by rolname limit 1",
        )
        .bind(APP_ROLE)
        .bind(SYSTEM_ROLE)
        .bind(AUTHORITY_ROLE)
        .fetch_optional(tx.conn())
        .await?;
        tx.end(End::Commit).await.map_err(unavailable)?;
        if let Some(role) = bypassing {
            return Err(ConnectError::BypassesRls { role });
        }
        if !skips && inherits == Some(true) && privileged == PrivilegedLogin::Refused {
            return Err(ConnectError::Inherits { login });
        }
        match (skips, privileged) {
            (false, _) => Ok(()),
            (true, PrivilegedLogin::Refused) => Err(ConnectError::PrivilegedLogin { login }),
            (true, PrivilegedLogin::Warned) => {
                tracing::warn!(
                    login,
                    "login role skips row-level security; only `set local role` stands in between"
                );
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("statements", &self.statements).finish_non_exhaustive()
    }
}

/// Why a database was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The role that transactions run as skips row-level security.
    #[error("role `{role}` skips row-level security; take SUPERUSER and BYPASSRLS from it")]
    BypassesRls {
        /// The role.
        role: String,
    },
    /// The login has the rights of `mt_system` without taking the role on.
    #[error(
        "login `{login}` inherits `mt_system`, so its bare queries see every tenant; \
         run the migration, or say `alter role {login} noinherit`"
    )]
    Inherits {
        /// The login role of the connection.
        login: String,
    },
    /// The login may not become the role.
    #[error("login `{login}` is not a member of `{role}`; run the migration, or grant it")]
    NotAMember {
        /// The login role of the connection.
        login: String,
        /// The role that it should be able to take on.
        role: &'static str,
    },
    /// The login would skip row-level security.
    #[error(
        "login `{login}` skips row-level security (superuser, BYPASSRLS, or owner of the tables); \
         connect as a plain role"
    )]
    PrivilegedLogin {
        /// The login role of the connection.
        login: String,
    },
    /// The database was never migrated.
    #[error("role `{role}` does not exist; run the migration")]
    RoleMissing {
        /// The role.
        role: &'static str,
    },
    /// The database has an extension with which tenants are not kept apart.
    #[error("the database has the extension `{extension}`, which is not supported: {reason}")]
    UnsupportedExtension {
        /// The extension.
        extension: &'static str,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The check itself could not be made.
    #[error("could not connect to the database")]
    Unavailable(#[from] sqlx::Error),
}
