//! Integration tests of the server, one folder per subject. They need `MT_TEST_DATABASE_URL` and
//! `MT_TEST_REDIS_URL`, which `make test` provides.

mod access;
mod admin;
mod admin_jobs;
mod api;
mod audit_log;
mod billing;
#[cfg(target_os = "linux")]
mod chaos;
mod cli;
mod config;
mod database;
#[cfg(all(feature = "embedded", unix))]
mod embedded;
mod fairness;
mod http;
mod limits;
mod mail;
mod observability;
mod openapi;
mod orgs;
mod pages;
mod readme;
mod replicas;
mod shares;
mod support;
mod webhooks;
