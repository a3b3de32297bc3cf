//! Shared code of the benchmarks. `make bench` runs them.

pub mod spread;
pub mod stack;
