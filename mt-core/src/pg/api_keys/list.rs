//! Listing API keys.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::ApiKey;
use crate::access::{AccessModel, Permission, PermissionSet};
use crate::id::{ApiKeyId, PrincipalId, ServiceAccountId};
use crate::pg::{BeginError, TenantRead, query_as};

/// Returns the tenant's keys in one round trip, newest first, after the one named by `before`: also those that have ended.
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
    before: Option<ApiKeyId>,
    limit: i64,
) -> Result<Vec<ApiKey<P::Model>>, BeginError> {
    let rows = query_as::<Row>(
        "select id, user_id, service_account_id, name, hint, permissions, created_by, created_at, expires_at, \
             revoked_at, last_used_at \
         from mt.api_keys where tenant_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
    )
    .bind(read.tenant().as_uuid())
    .bind(before.map(ApiKeyId::as_uuid))
    .bind(limit)
    .fetch_all(read)
    .await?;
    Ok(rows.into_iter().map(Row::into_key).collect())
}

#[derive(FromRow)]
pub(super) struct Row {
    id: Uuid,
    user_id: Option<Uuid>,
    service_account_id: Option<Uuid>,
    name: String,
    hint: String,
    permissions: Option<Vec<String>>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl Row {
    pub(super) fn into_key<M: AccessModel>(self) -> ApiKey<M> {
        ApiKey {
            id: ApiKeyId::from_uuid(self.id),
            name: self.name,
            user: self.user_id.map(PrincipalId::from_uuid),
            service_account: self.service_account_id.map(ServiceAccountId::from_uuid),
            hint: self.hint,
            permissions: permissions(self.permissions.as_deref()),
            created_by: PrincipalId::from_uuid(self.created_by),
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
        }
    }
}

/// The stored limit of a key. A permission that the program does not have any more is none.
pub(super) fn permissions<M: AccessModel>(texts: Option<&[String]>) -> Option<PermissionSet<M>> {
    texts.map(|texts| PermissionSet::of_known(texts.iter().map(String::as_str)))
}

impl<M: AccessModel> fmt::Debug for ApiKey<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("service_account", &self.service_account)
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}
