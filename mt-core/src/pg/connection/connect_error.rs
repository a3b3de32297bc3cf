//! The error when a database is refused.

/// The error when a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The role of transactions bypasses row-level security.
    #[error("role `{role}` bypasses row-level security; revoke SUPERUSER and BYPASSRLS from it")]
    BypassesRls {
        /// The role.
        role: String,
    },
    /// The login inherits `mt_system` instead of setting the role in transactions.
    #[error(
        "login `{login}` inherits `mt_system`, so its bare queries see every tenant; \
         run the migration, or say `alter role {login} noinherit`"
    )]
    Inherits {
        /// The login role of the connection.
        login: String,
    },
    /// The login may not set the role.
    #[error("login `{login}` is not a member of `{role}`; run the migration, or grant the role")]
    NotAMember {
        /// The login role of the connection.
        login: String,
        /// The role that it must be able to set.
        role: &'static str,
    },
    /// The login bypasses row-level security.
    #[error(
        "login `{login}` skips row-level security (superuser, BYPASSRLS, or owner of the tables); \
         connect as a plain role"
    )]
    PrivilegedLogin {
        /// The login role of the connection.
        login: String,
    },
    /// The login of tenants may become `mt_system`, although the system has a login of its own.
    #[error(
        "login `{login}` may become `mt_system`, for which there is a login of its own; \
         run the migration with both, or say `revoke mt_system from {login}`"
    )]
    ReachesSystem {
        /// The login role of the connection.
        login: String,
    },
    /// The database was never migrated.
    #[error("role `{role}` does not exist; run the migration")]
    RoleMissing {
        /// The role.
        role: &'static str,
    },
    /// The database has an extension that breaks tenant isolation.
    #[error("the database has the extension `{extension}`, which is not supported: {reason}")]
    UnsupportedExtension {
        /// The extension.
        extension: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// The connection or a query failed.
    #[error("could not connect to the database")]
    Unavailable(#[from] sqlx::Error),
}
