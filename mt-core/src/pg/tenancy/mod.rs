//! Tenants: create, name, find, rename, suspend, visit, delete; and how long what they leave behind is kept.

pub mod domains;
mod lookup;
pub(super) mod overview;
pub(super) mod plan;
pub(super) mod retention;
pub(super) mod slug;
pub(super) mod suspension;
pub(super) mod sweep;
pub(super) mod tenant;
