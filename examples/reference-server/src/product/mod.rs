//! What the product reads and writes: projects, tasks, how many of each an org has, who pays for it.
//!
//! Each query stands beside the type that it serves, asks in its signature for the permission that it
//! needs, and names its tenant: row-level security is the line behind it. Whatever changes something says
//! what the org's log is to hold of it.

pub(crate) mod audit;
mod billing;
mod org;
mod project;
mod task;
mod timestamp;

pub use self::audit::actions;
pub use self::billing::Subscription;
pub use self::org::{Overview, Usage};
pub use self::project::Project;
pub use self::task::{Missing, NewTask, Status, Task, TaskChange, may_update, missing};
