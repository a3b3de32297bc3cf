//! Isolation of tenants in Postgres: row-level security, and the seal against SQL injection.

pub(crate) mod row_level_security;
mod seal;
