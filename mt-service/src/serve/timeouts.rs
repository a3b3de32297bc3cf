//! How long a server waits for its clients.

use std::time::Duration;

/// How long the server waits for a client.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the first byte of the next request on a connection. Longer than a reverse proxy keeps its unused
    /// connections, or the proxy sends a request into a connection that the server is closing.
    pub idle: Duration,
    /// For the head of a request, from its first byte, or from the moment the client has connected.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// For a client to take what it is sent.
    pub write: Duration,
    /// From a request's head to the last byte of its answer.
    pub exchange: Duration,
    /// For a connection to be used: the first answer after that closes it.
    pub age: Duration,
    /// For the requests under way, once the server was told to stop.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            exchange: Duration::from_mins(15),
            age: Duration::from_hours(1),
            stop: Duration::from_secs(10),
        }
    }
}
