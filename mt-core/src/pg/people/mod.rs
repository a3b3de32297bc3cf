//! Users, their identities at providers, sign-in links, memberships, custom roles and invites.

pub(super) mod delete_user;
pub(super) mod identities;
#[cfg(feature = "openid")]
pub(super) mod identity_store;
pub mod invites;
pub(super) mod magic_links;
pub(super) mod members;
pub mod roles;
pub(super) mod sign_in_networks;
pub(super) mod users;
