//! Integration tests, one binary. They need `MT_TEST_DATABASE_URL` and `MT_TEST_REDIS_URL`, which
//! `make test` provides.

mod access_cache;
mod accounts;
mod audit;
mod audit_log;
mod bound;
mod cancellation;
mod caps;
mod compile_fail;
mod connection_faults;
mod extensions;
mod histories;
mod idempotency;
mod invites;
mod isolation;
mod isolation_checks;
mod jwt;
mod ledger;
mod limit;
mod link;
mod migrations;
mod model;
mod one_message;
mod policy;
mod portable;
mod roster;
mod round_trips;
mod storm;
mod suspension;
mod test_database;
mod tidy;
