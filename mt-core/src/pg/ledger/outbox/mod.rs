//! The outbox: messages that a transaction writes and a dispatcher handles after its commit.
//!
//! An e-mail cannot be rolled back, so no transaction sends one. The transaction [`enqueue`]s a message instead, under
//! a dedupe key that names the fact, and a [`Dispatcher`] passes it to a [`Handler`] once the transaction is committed.
//!
//! * **No message without its fact**: a transaction that is rolled back takes its message along.
//! * **One message per fact**, however many events report the fact and however often they are replayed: the dedupe
//!   key is unique in its tenant, and is kept when the message has been sent.
//! * **At least once.** A process that is killed after it has sent a message and before it has marked it leaves a
//!   message that is sent again. Without the recipient's help no protocol does better.
//!
//! A message that cannot be sent now is deferred and tried again until it expires ([`HandlerOutcome::Deferred`],
//! [`enqueue_expiring`]), so an outage of the recipient loses no message that is still of use. [`OutboxStats`] counts
//! attempts by outcome, [`backlog`] counts what waits, and operators [`list`] messages and have them tried again
//! ([`retry`]).
//!
//! A message goes in one of two [`Lane`]s, each with dispatchers of its own: an urgent message waits behind no other,
//! however many those are and however slow their recipients.
//!
//! Messages belong to a tenant and are deleted with it. Some process has to [`purge`] old ones: messages without a
//! tenant after a day, tenants' messages after the time it gives. The payload is kept until the message has been sent,
//! so a secret in it should be encrypted.

mod dispatcher;
mod entry;
mod handler;
mod lease;
mod mark;
mod message;
mod retention;
mod retry;
mod stats;

pub use self::dispatcher::Dispatcher;
pub use self::entry::{MessageStatus, OutboxEntry, OutboxFilter, list};
pub use self::handler::{Handler, HandlerOutcome};
pub use self::message::{Lane, Message, NewMessage, enqueue, enqueue_expiring};
pub use self::retention::{OutboxPurge, purge};
pub use self::retry::{Retried, retry, retry_all};
pub use self::stats::{OutboxBacklog, OutboxStats, backlog};
pub use crate::pg::work::wake_up::WakeUp;
