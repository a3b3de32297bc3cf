//! Access decisions: the policy table, and what is remembered of earlier decisions.

mod chain;
mod policy;
mod recent;
