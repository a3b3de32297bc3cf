//! What the benchmarks of the workspace have in common. `make bench` runs them.

pub mod spread;
pub mod stack;
