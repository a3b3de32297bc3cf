//! The audit actions of the product, in addition to those of the library and of billing.

use mt_core::pg::audit_log::Action;

pub(crate) const PROJECT_CREATED: Action = Action::new("project.created", "project");
pub(crate) const PROJECT_DELETED: Action = Action::new("project.deleted", "project");
pub(crate) const PROJECT_RENAMED: Action = Action::new("project.renamed", "project");
pub(crate) const TASK_CREATED: Action = Action::new("task.created", "task");
pub(crate) const TASK_DELETED: Action = Action::new("task.deleted", "task");
pub(crate) const TASK_UPDATED: Action = Action::new("task.updated", "task");

/// The actions of the product, beside those of the library.
pub const ACTIONS: &[Action] =
    &[PROJECT_CREATED, PROJECT_DELETED, PROJECT_RENAMED, TASK_CREATED, TASK_DELETED, TASK_UPDATED];
