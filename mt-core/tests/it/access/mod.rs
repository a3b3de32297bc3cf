//! Access decisions: the policy table and the access cache.

mod cache;
mod policy;
