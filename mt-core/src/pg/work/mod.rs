//! What the ledger, the outbox and jobs have in common: when an attempt is repeated, why it failed, and how workers wait
//! for more.

pub(in crate::pg) mod failure;
pub(in crate::pg) mod repeat;
pub(in crate::pg) mod retry;
pub(in crate::pg) mod wake_up;
