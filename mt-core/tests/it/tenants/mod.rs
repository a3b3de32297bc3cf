//! Tenants: slugs, domains and lookup, caps, suspension, deletion of large tenants, and export.

mod caps;
mod dns;
mod domains;
mod export;
mod large_tenant;
mod lookup;
mod plans;
mod slugs;
mod suspension;
