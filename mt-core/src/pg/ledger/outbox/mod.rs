//! What an event asks the world outside to be told: written down with the effect, carried out after.
//!
//! A mail cannot be taken back, so no transaction sends one. The effect [`enqueue`]s a message in its own
//! transaction instead, under the natural name of the fact that it tells of, and a [`Dispatcher`] carries
//! it out once that has been committed.
//!
//! * **No fact, no message**: an effect that is rolled back takes its message along.
//! * **One fact, one message**, however many events tell of it and however often they are replayed: the
//!   name is unique in its tenant, and is kept when the message has been sent.
//! * **At least once on the wire.** A process that is killed after it has sent and before it has written
//!   that down leaves a message that is sent again. No protocol without the recipient's help does better.
//!
//! What cannot be delivered now waits and is tried again until it is of no use any more
//! ([`Delivered::Deferred`], [`enqueue_expiring`]): an outage of the world outside loses no message that still
//! says something. [`OutboxStats`] counts what comes of attempts, [`backlog`] says what waits, and operators
//! [`list`] messages and have them tried again ([`retry`]).
//!
//! Messages belong to a tenant and go with it; those that belong to none go a day after they are done with.
//! What a message says is kept until it has gone out, so a secret in it should be sealed.

mod claim;
mod dispatcher;
mod entry;
mod mark;
mod message;
mod retry;
mod stats;

pub use self::dispatcher::{Bell, Courier, Delivered, Dispatcher};
pub use self::entry::{MessageStatus, OutboxEntry, OutboxFilter, list};
pub use self::message::{Message, NewMessage, enqueue, enqueue_expiring};
pub use self::retry::{Retried, retry, retry_all};
pub use self::stats::{OutboxBacklog, OutboxStats, backlog};
