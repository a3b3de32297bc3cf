//! Named and unnamed statements.

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
