//! Starts the example on a socket, on a test database, and calls it as clients do.

mod access;
mod refused_calls;
mod streams;
mod support;
