//! Connections: logins, pools, and what is checked before the first transaction.

pub(super) mod connect_error;
pub(super) mod connecting;
pub(super) mod database;
pub(super) mod extensions;
pub(super) mod live_connection;
pub(super) mod login_check;
pub(super) mod logins;
pub(super) mod options;
pub(super) mod pool;
pub(super) mod pool_stats;
pub(super) mod pools;
pub(super) mod probe;
pub(super) mod roles;
pub(super) mod session;
pub(super) mod statements;
