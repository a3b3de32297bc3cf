//! Integration tests, one binary. They need `MT_TEST_DATABASE_URL`, which `make test` provides.

mod asking;
mod checkout;
mod dunning;
mod exercise;
mod former;
mod http_client;
mod interleavings;
mod localstripe;
mod processor;
mod reconcile;
mod registry;
mod reprojection;
mod robust;
mod sdk;
mod shapes;
mod sql_join;
mod stand_in;
mod storm;
mod support;
mod tenants;
mod upgrade;
