//! The guards, one module each.

mod access;
mod authenticate;
mod authorize;
mod bulkhead;
mod rate_limit;
mod resolve_host;
mod resolve_tenant;
mod tenant_directory;
