//! Mail: delivery over SMTP, the outbox, and the priority of sign-in links.

mod delivery;
mod outbox;
mod sign_in_priority;
