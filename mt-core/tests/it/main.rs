//! Integration tests of mt-core, one folder per subject. They need `MT_TEST_DATABASE_URL` and
//! `MT_TEST_REDIS_URL`, which `make test` provides.

mod access;
mod api_keys;
mod audit;
mod audit_log;
mod auth;
mod billing;
mod connections;
mod database;
mod isolation;
mod jobs;
mod ledger;
mod limit;
mod members;
mod services;
mod support;
mod tenants;
mod testing;
mod tidy;
mod transactions;
mod users;
