//! Benchmarks of the workspace. `make bench` runs them; there is no code to use here.
