//! Tests that code which bypasses a check does not compile: see `tests/ui`.
//!
//! They are a crate of their own, because trybuild compiles the dependencies of its crate once more.
