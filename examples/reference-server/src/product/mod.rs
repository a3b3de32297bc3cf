//! The product's data: projects and tasks.
//!
//! Each query is next to its type, names the permission that it requires in its signature, and filters by tenant;
//! row-level security is the second line. Each change names its audit entry.

pub(crate) mod audit;
mod project;
mod task;
mod timestamp;

pub use self::audit::ACTIONS;
pub use self::project::Project;
pub use self::task::{Missing, NewTask, Status, Task, TaskChange, may_update, missing};
