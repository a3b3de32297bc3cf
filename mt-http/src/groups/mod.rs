//! The groups of endpoints.

mod api_keys;
mod audit_log;
#[cfg(feature = "stripe")]
mod billing;
mod invites;
mod jobs;
mod member_role;
mod members;
mod operators;
mod permission_words;
mod roles;
mod service_accounts;
mod sign_in;
mod tenants;
#[cfg(feature = "stripe")]
mod webhook_events;
#[cfg(feature = "stripe")]
mod webhooks;

pub use self::api_keys::ApiKeys;
pub use self::audit_log::AuditLog;
#[cfg(feature = "stripe")]
pub use self::billing::Billing;
pub use self::invites::Invites;
pub use self::jobs::{JobView, Jobs};
pub use self::members::Members;
pub use self::operators::Operators;
pub use self::roles::Roles;
pub use self::service_accounts::ServiceAccounts;
pub use self::sign_in::SignIn;
pub use self::tenants::Tenants;
#[cfg(feature = "stripe")]
pub use self::webhook_events::{EventView, WebhookEvents};
#[cfg(feature = "stripe")]
pub use self::webhooks::{MAX_DELIVERY, Receipt, Webhooks};
