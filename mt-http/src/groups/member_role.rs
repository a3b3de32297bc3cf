//! The role of a member or an invite in bodies: a built-in one as `role`, or a custom one as `role_id`.

use mt_core::id::RoleId;
use mt_core::pg::roles::{MemberRole, NamedRole};
use mt_core::text_enum::TextEnum;
use mt_tower::problem::{FieldError, Problem};
use serde::{Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::fields;
use crate::openapi::{Schema, id, text};
use crate::problems::invalid_fields;

/// A custom role, as members and invites show it.
#[derive(Serialize)]
pub(super) struct NamedRoleView {
    id: Uuid,
    name: String,
}

impl From<NamedRole> for NamedRoleView {
    fn from(role: NamedRole) -> Self {
        Self { id: role.id.as_uuid(), name: role.name }
    }
}

/// The schema of [`NamedRoleView`], to stand within another one.
pub(super) fn named_role() -> Value {
    Schema::new("NamedRole")
        .described("The custom role, if there is one. `role` is the role that it is based on.")
        .with("id", id())
        .with("name", text())
        .value()
}

/// For `role_id`, which may be absent but not `null`.
pub(super) fn present_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RoleId>, D::Error> {
    fields::parsed(deserializer, |text| RoleId::parse(text).ok_or("must be an id")).map(Some)
}

/// For `role`, which may be absent but not `null`.
pub(super) fn present_role<'de, D: Deserializer<'de>, R: TextEnum>(
    deserializer: D,
) -> Result<Option<R>, D::Error> {
    fields::word(deserializer).map(Some)
}

/// The role that a body names, if it names one. It names no two.
pub(super) fn given<R: TextEnum>(
    role: Option<R>,
    role_id: Option<RoleId>,
) -> Result<Option<MemberRole<R>>, Problem> {
    match (role, role_id) {
        (Some(_), Some(_)) => {
            let detail = "must not stand beside `role`";
            Err(invalid_fields(vec![FieldError::new("/role_id", detail)]))
        }
        (Some(role), None) => Ok(Some(role.into())),
        (None, id) => Ok(id.map(MemberRole::Custom)),
    }
}
