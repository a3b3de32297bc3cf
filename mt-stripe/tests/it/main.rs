//! Integration tests, one binary. They need `MT_TEST_DATABASE_URL`, which `make test` provides.

mod asking;
mod dunning;
mod interleavings;
mod processor;
mod reprojection;
mod shapes;
mod sql_join;
mod stand_in;
mod support;
mod tenants;
mod upgrade;
