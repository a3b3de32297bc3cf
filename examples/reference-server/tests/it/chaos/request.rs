//! The kinds of requests, and the record of one request.

use std::time::Instant;

use super::client::Failure;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Read,
    Create,
    Webhook,
    /// A request for a magic link.
    Link,
    /// The redemption of a magic link, which the same client has requested.
    SignIn,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Read, Self::Create, Self::Webhook, Self::Link, Self::SignIn];
    /// The kind of each client, with more clients for more frequent kinds.
    pub(super) const MIX: [Self; 14] = {
        use Kind::{Create, Read, SignIn, Webhook};
        [
            Read, Create, Webhook, SignIn, Read, Create, Webhook, SignIn, Read, Create, Read,
            Create, Read, Read,
        ]
    };
}

/// A finished request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<(), Failure>,
}
