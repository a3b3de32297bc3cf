//! Conventions of every route: problems, pagination, idempotency keys, entity tags.

mod concurrency;
mod conditional_requests;
mod idempotency;
mod pagination;
mod problems;
