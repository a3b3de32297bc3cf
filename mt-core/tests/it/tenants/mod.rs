//! Tenants: caps, suspension, deletion of large tenants, and export.

mod caps;
mod export;
mod large_tenant;
mod suspension;
