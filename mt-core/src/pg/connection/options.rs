//! How to reach Postgres, and how much of it to use.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::statements::Statements;
use crate::pg::transaction::tx_settings::{Isolation, TxSettings};
use crate::shares::Shares;

/// How to reach Postgres, and how much of it to use.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) system: Option<PgConnectOptions>,
    pub(super) max_connections: u32,
    pub(super) acquire_timeout: Duration,
    pub(super) statements: Option<Statements>,
    pub(super) login: Option<&'static str>,
    pub(super) privileged_login: PrivilegedLogin,
    pub(super) shares: Option<Shares>,
    pub(super) settings: TxSettings,
}

/// What becomes of a login that could skip policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PrivilegedLogin {
    Refused,
    Warned,
}

impl DatabaseOptions {
    /// Sixteen connections, two seconds to get one, named statements unless a pooler stands between.
    #[must_use]
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect,
            system: None,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(2),
            statements: None,
            login: None,
            privileged_login: PrivilegedLogin::Refused,
            shares: None,
            settings: TxSettings::DEFAULT,
        }
    }

    /// Another login for what crosses tenants. It is a member of `mt_app` and `mt_system`, and the first one is then
    /// refused if it may become `mt_system`: so SQL that is injected into a statement of a tenant cannot
    /// take on the role that sees all of them.
    ///
    /// ```
    /// # fn main() -> Result<(), sqlx::Error> {
    /// use mt_core::pg::DatabaseOptions;
    ///
    /// let options = DatabaseOptions::new("postgres://mt_server@localhost/mt".parse()?)
    ///     .system_login("postgres://mt_server_system@localhost/mt".parse()?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn system_login(mut self, connect: PgConnectOptions) -> Self {
        self.system = Some(connect);
        self
    }

    /// At most this many connections at once for each login, and one more for [`Database::ping`](crate::pg::Database::ping) unless this is one.
    #[must_use]
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// How many of the connections one tenant and one principal may use at once: [`Shares::of`] for this number of
    /// connections by default.
    #[must_use]
    pub fn shares(mut self, shares: Shares) -> Self {
        self.shares = Some(shares);
        self
    }

    /// How long a request waits for its share and a connection before it fails: two seconds by default.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How long one statement may take: five seconds by default.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.settings.statement_timeout = timeout;
        self
    }

    /// How long a statement may wait for a lock: two seconds by default.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.settings.lock_timeout = timeout;
        self
    }

    /// How long a transaction may lie idle between two statements before Postgres ends it: ten seconds by default.
    #[must_use]
    pub fn idle_in_transaction_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// The isolation level of transactions of tenants and principals: read committed by default.
    ///
    /// Transactions that lock the tenant ([`Begin::exclusive`](crate::pg::Begin::exclusive),
    /// [`Begin::capped`](crate::pg::Begin::capped)) and those across tenants are read committed all the same: they rely on
    /// seeing what was committed while they waited for a lock.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.settings.isolation = isolation;
        self
    }

    /// Whether statements are prepared under names. By default, one more connection is made at first to find out whether it
    /// has a session of its own.
    #[must_use]
    pub fn statements(mut self, statements: Statements) -> Self {
        self.statements = Some(statements);
        self
    }

    /// Lets queries on isolated tables find no rows where no tenant is set, such as in a transaction of a principal. By
    /// default they fail (`MT002`): a job that has forgotten the tenant would do nothing and report success.
    ///
    /// It sets `mt.without_tenant` in the sessions of tenants and principals. Behind a pooler, set it for the role:
    /// `alter role shop_server set mt.without_tenant = 'empty'`.
    #[must_use]
    pub fn empty_without_tenant(mut self) -> Self {
        self.connect = self.connect.options([("mt.without_tenant", "empty")]);
        self
    }

    /// Sends `set session authorization login` on each new connection: for an engine in which every login is its
    /// superuser.
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
