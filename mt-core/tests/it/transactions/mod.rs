//! Tenant transactions: batches, reads, cancellation, idempotency and round trips.

mod batch;
pub(crate) mod cancellation;
mod cancellation_load;
mod idempotency;
mod multi_tenant_read;
mod query_types;
mod read_only;
mod reference_model;
pub(crate) mod round_trips;
mod settings;
