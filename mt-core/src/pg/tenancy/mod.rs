//! Tenants: create, rename, suspend, delete; and how long what they leave behind is kept.

pub(super) mod retention;
pub(super) mod suspension;
pub(super) mod tenant;
