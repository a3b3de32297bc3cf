//! Roles and permissions: what each caller may do, see and learn.

mod changes;
mod decision_order;
mod isolation;
pub(crate) mod matrix;
mod policy;
mod refusals;
mod signed_out;
