//! Reading the log of a tenant.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::ActorKind;
use crate::access::Permission;
use crate::id::PrincipalId;
use crate::pg::{BeginError, TenantRead, query_as};
use crate::text_enum::TextEnum as _;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry's id. Newer entries have greater ids.
    pub id: Uuid,
    /// When the transaction that wrote it began.
    pub at: DateTime<Utc>,
    /// The kind of actor, as stored: a text of [`ActorKind`].
    pub actor_kind: String,
    /// Which user or service account.
    pub actor_id: Option<Uuid>,
    /// The name of any other actor.
    pub actor_name: Option<String>,
    /// The user's address, while they are a member: what any member sees.
    pub actor_email: Option<String>,
    /// The service account and the API key that the actor acted through: objects with `kind` and `id`, in the order of the
    /// chain. `None` if there are none.
    pub via: Option<Value>,
    /// What was done.
    pub action: String,
    /// The kind of thing that it was done to.
    pub target_kind: String,
    /// The target's id. It may be deleted.
    pub target_id: Option<Uuid>,
    /// Facts about it, as an object.
    pub detail: Value,
    /// The request that it was done for.
    pub request_id: Option<String>,
}

impl FromRow<'_, PgRow> for Entry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(detail) = row.try_get("detail")?;
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            actor_kind: row.try_get("actor_kind")?,
            actor_id: row.try_get("actor_id")?,
            actor_name: row.try_get("actor_name")?,
            actor_email: row.try_get("actor_email")?,
            via: row.try_get::<Option<Json<Value>>, _>("via")?.map(|Json(via)| via),
            action: row.try_get("action")?,
            target_kind: row.try_get("target_kind")?,
            target_id: row.try_get("target_id")?,
            detail,
            request_id: row.try_get("request_id")?,
        })
    }
}

/// Which lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Filter<'f> {
    /// Of this action, by its word.
    pub action: Option<&'f str>,
    /// By this kind of actor.
    pub actor_kind: Option<ActorKind>,
    /// Of this user.
    pub actor: Option<PrincipalId>,
}

/// Returns the tenant's lines in one round trip, newest first, after the one named by `before`.
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
    filter: &Filter<'_>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>, BeginError> {
    query_as(
        "select e.id, e.at, e.actor_kind, e.actor_id, e.actor_name, u.email as actor_email, \
             e.via, e.action, e.target_kind, e.target_id, e.detail, e.request_id \
         from mt.audit_log e \
         left join mt.memberships m on m.tenant_id = $1 and m.principal_id = e.actor_id \
         left join mt.users u on u.id = m.principal_id \
         where e.tenant_id = $1 and ($2::uuid is null or e.id < $2) \
             and ($3::text is null or e.action = $3) \
             and ($4::text is null or e.actor_kind = $4) \
             and ($5::uuid is null or e.actor_id = $5) \
         order by e.id desc limit $6",
    )
    .bind(read.tenant().as_uuid())
    .bind(before)
    .bind(filter.action)
    .bind(filter.actor_kind.map(ActorKind::as_str))
    .bind(filter.actor.map(PrincipalId::as_uuid))
    .bind(limit)
    .fetch_all(read)
    .await
}
