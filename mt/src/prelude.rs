//! What most files of a service name: `use mt::prelude::*;`.
//!
//! The traits of a model, so that their functions can be called, and with the feature `postgres` queries, audit actions and
//! the schema of the application. What handlers take comes from the adapter, such as `mt::axum::Tenant`.

pub use mt_core::access::{AccessModel as _, Permission as _};
pub use mt_core::member_policy::MemberPolicy as _;
#[cfg(feature = "postgres")]
pub use mt_core::pg::audit_log::Action;
#[cfg(feature = "postgres")]
pub use mt_core::pg::{ProductSchema, query_as, query_scalar};
pub use mt_core::text_enum::TextEnum as _;
