//! Tests of the server from outside, one module a subject.

#[cfg(all(feature = "embedded", unix))]
mod embedded;
mod mail;
