//! Roles, schemas and migrations.

mod database_roles;
pub(super) mod migration;
pub(super) mod restrict;
mod script;
