//! Integration tests, one binary. They need `MT_TEST_DATABASE_URL`, which `make test` provides.

mod processor;
mod support;
