//! Support code that the integration tests of several crates share. Not published.
//!
//! What a single crate's tests need stays in their `tests/it/support`. Test databases and isolation checks, which
//! embedders use too, are in `mt_core::testing`.

pub mod packages;
#[cfg(all(feature = "postgres", unix))]
pub mod pgbouncer;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
pub mod process;
#[cfg(feature = "redis")]
pub mod redis;
pub mod report;
#[cfg(feature = "stripe")]
pub mod stripe_input;
