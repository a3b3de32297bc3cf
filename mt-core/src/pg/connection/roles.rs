//! The database roles that transactions run as.

/// The role that tenant and principal transactions run as.
pub const APP_ROLE: &str = "mt_app";
/// The role that reads what a decision is made on, and nothing else, before a tenant's transaction goes on.
pub const AUTHORITY_ROLE: &str = "mt_authority";
/// The role that system transactions run as.
pub const SYSTEM_ROLE: &str = "mt_system";
