//! Starts the example on a socket, before a database of the test's own, and calls it as clients do.

mod reach;
mod refusals;
mod streams;
mod support;
