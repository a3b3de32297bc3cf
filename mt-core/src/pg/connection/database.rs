//! The one way to connections, and what is refused at its door.

use std::fmt;
use std::sync::Arc;

use sqlx::Row as _;

use super::extensions;
use super::login_check::{self, Use};
use super::logins::{Login, LoginPool, Making};
use super::options::{DatabaseOptions, PrivilegedLogin};
use super::pool_stats::PoolStats;
use super::pools::Pools;
use super::probe::Probe;
use super::statements::Statements;
use crate::access::AccessModel;
use crate::billing::StandingPolicy;
#[cfg(feature = "openid")]
use crate::pg::Identities;
use crate::pg::api_keys::ApiKeys;
use crate::pg::transaction::exchange::Mode;
use crate::pg::transaction::known_results::KnownResults;
use crate::pg::transaction::open_tx::OpenTx;
use crate::pg::transaction::opening::Opening;
use crate::pg::{ConnectError, PgError, Principals, System, Tenants};
use crate::shares::Shares;
use crate::token::TokenHasher;

/// Connections, out of which come transactions and nothing else.
///
/// Code that holds a `Database`, or a pool made from it, cannot run a query outside of a
/// transaction that names its tenant, its principal or its reason.
///
/// ```no_run
/// # mt_core::model! {
/// #     pub Shop;
/// #     roles Role { Owner = "owner" (owner) }
/// #     plans Plan { Free = "free" (initial) }
/// #     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
/// # }
/// use mt_core::billing::StandingPolicy;
/// use mt_core::pg::{Database, DatabaseOptions, Tenants};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = DatabaseOptions::new("postgres://shop_server@localhost/shop".parse()?);
/// let database = Database::connect(options.max_connections(16)).await?;
/// let tenants: Tenants<Shop> = database.tenants(StandingPolicy::default());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    probe: Option<Arc<Probe>>,
}

impl Database {
    /// Connects, and makes sure that row-level security applies to what will run here.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PrivilegedLogin`] when a login could skip every policy,
    /// [`ConnectError::NotAMember`] when it may not become the roles that it is for: `mt_app`, `mt_system` and
    /// `mt_authority`,
    /// [`ConnectError::ReachesSystem`] when that of tenants may become `mt_system` beside a
    /// [`system_login`](DatabaseOptions::system_login),
    /// [`ConnectError::Inherits`] when it has their rights without becoming them,
    /// [`ConnectError::BypassesRls`] when those roles themselves skip policies,
    /// [`ConnectError::UnsupportedExtension`] when the database has an extension such as Citus.
    pub async fn connect(options: DatabaseOptions) -> Result<Self, ConnectError> {
        let DatabaseOptions {
            connect,
            system,
            max_connections,
            acquire_timeout,
            statements,
            login,
            privileged_login,
            shares,
            settings,
        } = options;
        let shares = shares.unwrap_or_else(|| Shares::of(max_connections));
        let session_authorization = login;
        let making = Making { max_connections, acquire_timeout, statements, session_authorization };
        let app = LoginPool::new(connect, making).await?;
        let system = match system {
            Some(connect) => Some(LoginPool::new(connect, making).await?),
            None => None,
        };
        // An engine with a single connection has none to spare.
        let probe = (max_connections > 1).then(|| Arc::new(app.probe()));
        let key = Arc::default();
        let known_results = KnownResults::default();
        let pools = Pools { app, system, acquire_timeout, shares, settings, key, known_results };
        let database = Self { pools, probe };
        let looking = database.begin_looking(Login::App).await;
        extensions::check(looking.map_err(PgError::into_driver_error)?).await?;
        database.check_logins(privileged_login).await?;
        Ok(database)
    }

    async fn check_logins(&self, privileged: PrivilegedLogin) -> Result<(), ConnectError> {
        let allow = privileged == PrivilegedLogin::Warned;
        let uses: &[_] = match &self.pools.system {
            None => &[(Login::App, Use::Everything)],
            Some(_) => &[(Login::App, Use::Tenants), (Login::System, Use::System)],
        };
        for (login, used_for) in uses {
            let tx = self.begin_looking(*login).await.map_err(PgError::into_driver_error)?;
            login_check::check(tx, *used_for, allow).await?;
        }
        Ok(())
    }

    /// Opens all connections of the pool, one after another, before requests wait for them. Stops at the first failure: the
    /// others are opened when they are needed.
    ///
    /// Logging in hashes the password 4096 times, and the driver gives way to the runtime's other
    /// tasks eight hundred times meanwhile. Where those are busy a login can outlast
    /// [`DatabaseOptions::acquire_timeout`], and its request is refused while connections are idle.
    pub async fn warm_up(&self) {
        for login in std::iter::once(&self.pools.app).chain(&self.pools.system) {
            if let Err(error) = login.warm_up(self.pools.acquire_timeout).await {
                let error = error.into_driver_error();
                return tracing::warn!(%error, "not every connection could be opened");
            }
        }
    }

    /// Transactions in a tenant, for the application described by `M`.
    #[must_use]
    pub fn tenants<M: AccessModel>(&self, standing: StandingPolicy) -> Tenants<M> {
        Tenants::new(self.pools.clone(), standing)
    }

    /// Transactions in which one principal sees what is theirs in every tenant.
    #[must_use]
    pub fn principals(&self) -> Principals {
        Principals::new(self.pools.clone())
    }

    /// Transactions across tenants, each with a named reason.
    #[must_use]
    pub fn system(&self) -> System {
        System::new(self.pools.clone())
    }

    /// The identities of users at identity providers, as a store of
    /// [`OpenIdAuthenticator`](crate::auth::openid::OpenIdAuthenticator).
    #[cfg(feature = "openid")]
    #[must_use]
    pub fn identities(&self) -> Identities {
        Identities::new(self.system())
    }

    /// The API keys of this database, whose texts begin with `prefix` and an underscore. `hasher` makes the stored hashes.
    ///
    /// # Panics
    ///
    /// When `prefix` does not have 1 to 20 lower-case letters, digits or underscores, or does not begin with a letter.
    #[must_use]
    pub fn api_keys(&self, prefix: &'static str, hasher: TokenHasher) -> ApiKeys {
        ApiKeys::new(self.system(), prefix, hasher)
    }

    /// Checks that Postgres answers, on a connection outside of the pools: a server whose pool is busy stays in
    /// rotation, and a server whose database does not answer leaves it. (A database with a single connection is
    /// asked on that.)
    ///
    /// # Errors
    ///
    /// [`PgError::Unavailable`] when there is none within two seconds.
    pub async fn ping(&self) -> Result<(), PgError> {
        match &self.probe {
            Some(probe) => probe.ping().await,
            None => {
                OpenTx::whole(&self.pools, &Opening::alone(Mode::Read, "select 1")).await.map(drop)
            }
        }
    }

    /// The version of Postgres as the server reports it: `15.20 (Debian 15.20-0+deb12u1)`.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn server_version(&self) -> Result<String, PgError> {
        let sql = "select current_setting('server_version')";
        let rows = OpenTx::whole(&self.pools, &Opening::alone(Mode::Read, sql)).await?;
        Ok(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?)
    }

    /// Closes the connections, waiting a few seconds for those in use to come back. A transaction that
    /// is asked for from here on is refused.
    pub async fn close(&self) {
        if let Some(probe) = &self.probe {
            probe.close().await;
        }
        let system = async {
            if let Some(system) = &self.pools.system {
                system.close().await;
            }
        };
        futures_util::future::join(self.pools.app.close(), system).await;
    }

    /// The connections, which transactions are opened on.
    pub(in crate::pg) const fn pools(&self) -> &Pools {
        &self.pools
    }

    /// The shares that tenants and principals have of the connections.
    #[must_use]
    pub const fn shares(&self) -> &Shares {
        self.pools.shares()
    }

    /// How the connections are doing: those of the system's login too, where there is one.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.pools.stats()
    }

    /// Whether statements are prepared under names: as asked for, or as it was found out.
    #[must_use]
    pub const fn statements(&self) -> Statements {
        self.pools.statements()
    }

    /// A transaction that changes nothing, for questions about the database itself. Without one, a
    /// pooler may have each half of a prepared statement answered by another connection.
    pub(in crate::pg) async fn begin_looking(&self, login: Login) -> Result<OpenTx, PgError> {
        let (tx, _) = OpenTx::begin(&self.pools, &Opening::of_looking(login)).await?;
        Ok(tx)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("pools", &self.pools).finish_non_exhaustive()
    }
}
