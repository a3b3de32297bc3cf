//! Access decisions: the policy table, and what is remembered of earlier decisions.

mod policy;
mod recent;
