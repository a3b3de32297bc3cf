//! Connections to Postgres: faults, and the shares that limit who may use how many.

mod faults;
mod shares;
