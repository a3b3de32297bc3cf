//! Server.

pub mod embedded;
