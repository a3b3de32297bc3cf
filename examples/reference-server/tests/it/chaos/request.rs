//! What the load is mixed of, and what is noted of each request.

use std::time::Instant;

use super::client::Failure;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Read,
    Create,
    Webhook,
    /// A link that is asked for.
    Link,
    /// A link that is redeemed. The same client asks for it before.
    SignIn,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Read, Self::Create, Self::Webhook, Self::Link, Self::SignIn];
    /// A client of each, and more of those that there are more of.
    pub(super) const MIX: [Self; 14] = {
        use Kind::{Create, Read, SignIn, Webhook};
        [
            Read, Create, Webhook, SignIn, Read, Create, Webhook, SignIn, Read, Create, Read,
            Create, Read, Read,
        ]
    };
}

/// A request that is over.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<(), Failure>,
}
