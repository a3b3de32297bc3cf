//! Tests of the server from outside, one module a subject.

#[cfg(feature = "embedded")]
mod embedded;
