//! Server.

pub mod embedded;
pub mod mail;
