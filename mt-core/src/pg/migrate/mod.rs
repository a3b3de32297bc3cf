//! Roles, schemas and migrations.

pub(super) mod migration;
pub(super) mod restrict;
