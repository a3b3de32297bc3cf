//! The product's own rows: projects, tasks, and how many of each an org has.
//!
//! Each query stands beside the type that it serves, asks in its signature for the permission that it
//! needs, and names its tenant: row-level security is the line behind it.

mod project;
mod task;
mod usage;

pub use self::project::Project;
pub use self::task::{NewTask, Status, Task, TaskChange, may_update};
pub use self::usage::Usage;
