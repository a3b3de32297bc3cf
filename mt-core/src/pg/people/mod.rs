//! Users, sign-in links, memberships and invites.

pub mod invites;
pub(super) mod magic_links;
pub(super) mod members;
pub(super) mod sign_in_networks;
pub(super) mod users;
