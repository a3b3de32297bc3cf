//! Customers: how they are linked to tenants, unlinked, and kept apart.

mod checkout;
mod tenant_isolation;
mod unlinked;
