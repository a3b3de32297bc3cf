//! Sets of permissions in answers.

use mt_core::access::{AccessModel, PermissionSet};
use mt_core::text_enum::TextEnum;
use serde_json::Value;

use crate::openapi::{list, words};

/// The schema of a list of permissions.
pub(super) fn schema<M: AccessModel>() -> Value {
    list(&words::<M::Permission>())
}

/// The texts of a set, in the order of the model.
pub(super) fn texts<M: AccessModel>(set: PermissionSet<M>) -> Vec<&'static str> {
    set.iter().map(TextEnum::as_str).collect()
}
