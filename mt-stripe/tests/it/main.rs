//! Integration tests of mt-stripe. They need `MT_TEST_DATABASE_URL`, which `make test` provides.

mod api;
mod billing;
mod crash_recovery;
mod customers;
mod dunning;
mod events;
mod projection;
mod sdk;
mod subscriptions;
mod support;
