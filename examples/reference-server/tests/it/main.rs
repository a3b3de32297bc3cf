//! Tests of the server from outside, one module a subject. They need `MT_TEST_DATABASE_URL` and
//! `MT_TEST_REDIS_URL`, which `make test` provides.

mod access_cache;
mod admin;
mod audit_log;
mod bulkhead;
mod caps;
#[cfg(target_os = "linux")]
mod chaos;
mod checkout;
mod concurrency;
mod conditions;
mod config;
mod conformance;
mod doctor;
#[cfg(unix)]
mod dotenv;
#[cfg(all(feature = "embedded", unix))]
mod embedded;
mod flow;
mod fuzz;
mod hangups;
mod idempotency;
mod isolation;
mod lifecycle;
mod limits;
mod lists;
mod logs;
mod mail;
mod mail_cli;
mod mail_outbox;
mod matrix;
mod metrics;
mod openapi;
mod pages;
mod plans;
mod policy;
mod pooler;
mod problems;
mod process_log;
mod processes;
mod proxies;
mod readiness;
mod readme;
mod reconcile_cli;
mod refusals;
#[path = "../../../../mt-stripe/tests/it/registry.rs"]
mod registry;
mod round_trips;
mod seed_cli;
mod settings;
mod shell;
mod signed_out;
mod stripe;
mod stripe_calls;
mod support;
#[cfg(feature = "otlp")]
mod traces;
mod webhooks;
mod webhooks_cli;
mod webhooks_kills;
mod wire;
