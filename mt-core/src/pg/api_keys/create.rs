//! Creating and rotating API keys.

use std::fmt;
use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::change::end_writes;
use super::list::Row;
use super::{ApiKey, ApiKeyError, ApiKeyText, ApiKeys, is_name};
use crate::access::{Access, AccessModel, Permission, PermissionSet};
use crate::id::{ApiKeyId, ServiceAccountId};
use crate::pg::audit_log::{API_KEY_CREATED, API_KEY_ROTATED, Fact};
use crate::pg::transaction::decode::variant;
use crate::pg::{Cap, CapPermit, Exclusive, PgError, Resource, TenantTx};
use crate::text_enum::TextEnum;

/// The holder of a new key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyHolder {
    /// The caller: the key may do what they may.
    Caller,
    /// A service account: the key may do what its role may.
    ServiceAccount(ServiceAccountId),
    /// A service account that acts on behalf of the caller: the key may do what both may.
    OnBehalfOfCaller(ServiceAccountId),
}

/// A key to be created.
pub struct NewApiKey<M: AccessModel> {
    name: String,
    holder: KeyHolder,
    permissions: Option<PermissionSet<M>>,
    expires_in: Option<Duration>,
}

impl<M: AccessModel> NewApiKey<M> {
    /// A key that may do what its holder may, and does not expire. The name is for people: 1 to 100 characters.
    #[must_use]
    pub fn new(name: impl Into<String>, holder: KeyHolder) -> Self {
        Self { name: name.into(), holder, permissions: None, expires_in: None }
    }

    /// Limits it to these permissions.
    #[must_use]
    pub fn limited_to(self, permissions: PermissionSet<M>) -> Self {
        Self { permissions: Some(permissions), ..self }
    }

    /// Ends it after this time.
    #[must_use]
    pub fn expiring_in(self, time: Duration) -> Self {
        Self { expires_in: Some(time), ..self }
    }
}

/// A key that was just created. Its text is not stored: show it once.
pub struct IssuedKey<M: AccessModel> {
    /// The key, as lists show it.
    pub key: ApiKey<M>,
    /// The key itself.
    pub text: ApiKeyText,
}

impl ApiKeys {
    /// Creates a key, in a transaction that was begun [`exclusive`](crate::pg::Begin::exclusive) and
    /// [`capped`](crate::pg::Begin::capped) by live keys ([`LIVE`](super::LIVE)).
    ///
    /// A caller gives a service account's key no more than they hold: the permissions that the key would have are a subset
    /// of the caller's.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`], in the order: by a key, name, not found, forbidden, cap reached.
    pub async fn create<P: Permission, R: Resource<Model = P::Model>>(
        &self,
        tx: &mut TenantTx<P, Exclusive>,
        cap: Cap<R>,
        new: &NewApiKey<P::Model>,
    ) -> Result<IssuedKey<P::Model>, ApiKeyError> {
        let caller = tx.principal();
        may_issue(tx.access())?;
        if !is_name(&new.name) {
            return Err(ApiKeyError::Name);
        }
        let limit = new.permissions.unwrap_or(PermissionSet::all());
        let caller = caller.id().as_uuid();
        let (user, account) = match new.holder {
            KeyHolder::Caller => (Some(caller), None),
            KeyHolder::ServiceAccount(account) => (None, Some(account)),
            KeyHolder::OnBehalfOfCaller(account) => (Some(caller), Some(account)),
        };
        if let Some(account) = account {
            let role = role_of(tx, account).await?;
            if user.is_none() {
                may_give::<P::Model>(tx.access(), role, limit)?;
            }
        }
        let CapPermit { .. } = cap.permit()?;
        let account = account.map(ServiceAccountId::as_uuid);
        let holder = Holder { user_id: user, service_account_id: account };
        let id = ApiKeyId::generate();
        let ends = new.expires_in.map(|time| time.as_secs_f64());
        let entry = API_KEY_CREATED.on(id.as_uuid());
        let entry = match new.permissions {
            Some(limit) => {
                entry.with("permissions", limit.iter().map(TextEnum::as_str).collect::<Vec<_>>())
            }
            None => entry,
        };
        self.insert(tx, id, id.as_uuid(), &new.name, holder, texts(new.permissions), ends, entry)
            .await
    }

    /// Creates a second key in the place of `key`, with its holder, name and permissions. The old one ends after `overlap`, or
    /// before that as it would have anyway. The new one lasts as long as the old one was made for.
    ///
    /// In the time between, both can be used. A key is rotated again only when the one that it replaced has ended. Without an
    /// overlap, no write that the old one began can commit once the transaction has committed, as with a revocation.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`], in the order: by a key, not found, forbidden, two in use. Members rotate their own keys only.
    pub async fn rotate<P: Permission>(
        &self,
        tx: &mut TenantTx<P, Exclusive>,
        key: ApiKeyId,
        overlap: Duration,
    ) -> Result<IssuedKey<P::Model>, ApiKeyError> {
        may_issue(tx.access())?;
        let tenant = tx.tenant().as_uuid();
        let old: Option<Rotated> = sqlx::query_as(
            "select k.user_id, k.service_account_id, k.name, k.permissions, k.series, \
                 (select extract(epoch from o.expires_at - o.created_at)::float8 from mt.api_keys o \
                     where o.tenant_id = k.tenant_id and o.series = k.series \
                     order by o.created_at desc, o.id desc limit 1) as lasts, \
                 (select count(*) from mt.api_keys o where o.tenant_id = k.tenant_id and o.series = k.series \
                     and o.revoked_at is null and (o.expires_at is null or o.expires_at > now())) as in_use \
             from mt.api_keys k where k.tenant_id = $1 and k.id = $2 and k.revoked_at is null \
                 and (k.expires_at is null or k.expires_at > now())",
        )
        .bind(tenant)
        .bind(key.as_uuid())
        .fetch_optional(tx.conn())
        .await
        .map_err(PgError::from)?;
        let old = old.ok_or(ApiKeyError::NotFound)?;
        match (old.user_id, old.service_account_id) {
            (Some(user), _) if user != tx.principal().id().as_uuid() => {
                return Err(ApiKeyError::Forbidden);
            }
            (None, Some(account)) => {
                let role = role_of(tx, ServiceAccountId::from_uuid(account)).await?;
                let limit = super::list::permissions::<P::Model>(old.permissions.as_deref());
                may_give::<P::Model>(tx.access(), role, limit.unwrap_or(PermissionSet::all()))?;
            }
            _ => {}
        }
        if old.in_use > 1 {
            return Err(ApiKeyError::TwoInUse);
        }
        if overlap.is_zero() {
            end_writes(tx, key, old.user_id.or(old.service_account_id)).await?;
        }
        sqlx::query(
            "update mt.api_keys set expires_at = least(expires_at, now() + make_interval(secs => $3)) \
             where tenant_id = $1 and id = $2",
        )
        .bind(tenant)
        .bind(key.as_uuid())
        .bind(overlap.as_secs_f64())
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
        let id = ApiKeyId::generate();
        let holder = Holder { user_id: old.user_id, service_account_id: old.service_account_id };
        let entry = API_KEY_ROTATED.on(key.as_uuid()).with("by", id.as_uuid());
        self.insert(tx, id, old.series, &old.name, holder, old.permissions, old.lasts, entry).await
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn insert<P: Permission>(
        &self,
        tx: &mut TenantTx<P, Exclusive>,
        id: ApiKeyId,
        series: Uuid,
        name: &str,
        holder: Holder,
        permissions: Option<Vec<String>>,
        lasts: Option<f64>,
        entry: crate::pg::audit_log::NewEntry,
    ) -> Result<IssuedKey<P::Model>, ApiKeyError> {
        let text = ApiKeyText::generate(self.prefix());
        let (tenant, caller) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
        let entry =
            entry.with("user", holder.user_id).with("service_account", holder.service_account_id);
        // By the hint, people find the entries of a key that they have before them.
        let entry = entry.with("hint", Fact::of_word(text.hint(self.prefix())));
        let row: Row = sqlx::query_as(
            "insert into mt.api_keys (tenant_id, id, user_id, service_account_id, name, digest, hint, permissions, \
                 series, created_by, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => $11)) \
             returning id, user_id, service_account_id, name, hint, permissions, created_by, created_at, expires_at, \
                 revoked_at, last_used_at",
        )
        .bind(tenant)
        .bind(id.as_uuid())
        .bind(holder.user_id)
        .bind(holder.service_account_id)
        .bind(name)
        .bind(self.digest(text.reveal()))
        .bind(text.hint(self.prefix()))
        .bind(permissions)
        .bind(series)
        .bind(caller)
        .bind(lasts)
        .fetch_one(tx.changing(entry))
        .await
        .map_err(PgError::from)?;
        Ok(IssuedKey { key: row.into_key(), text })
    }
}

#[derive(Clone, Copy)]
struct Holder {
    user_id: Option<Uuid>,
    service_account_id: Option<Uuid>,
}

#[derive(FromRow)]
struct Rotated {
    user_id: Option<Uuid>,
    service_account_id: Option<Uuid>,
    name: String,
    permissions: Option<Vec<String>>,
    series: Uuid,
    /// What the newest key of the rotation was made for, in seconds. The end of an older one was brought forward.
    lasts: Option<f64>,
    in_use: i64,
}

fn texts<M: AccessModel>(permissions: Option<PermissionSet<M>>) -> Option<Vec<String>> {
    permissions.map(|set| set.iter().map(|permission| permission.as_str().to_owned()).collect())
}

/// Whether a credential issues keys. One that is a key, or that acts on behalf of a user, does not: a key would outlive the
/// one that it came from.
fn may_issue<M: AccessModel>(caller: &Access<M>) -> Result<(), ApiKeyError> {
    let principal = caller.principal();
    if principal.key().is_some() || principal.actor().is_some() {
        return Err(ApiKeyError::ByKey);
    }
    Ok(())
}

/// Whether `caller` holds all that a key of a service account with `role` may use within `limit`.
fn may_give<M: AccessModel>(
    caller: &Access<M>,
    role: M::Role,
    limit: PermissionSet<M>,
) -> Result<(), ApiKeyError> {
    let given = PermissionSet::of_role(role).intersection(limit);
    if given.is_subset_of(caller.permissions()) { Ok(()) } else { Err(ApiKeyError::Forbidden) }
}

/// The role of a service account. The tenant is locked, so it stays.
async fn role_of<P: Permission>(
    tx: &mut TenantTx<P, Exclusive>,
    account: ServiceAccountId,
) -> Result<<P::Model as AccessModel>::Role, ApiKeyError> {
    let tenant = tx.tenant().as_uuid();
    let role: Option<String> =
        sqlx::query_scalar("select role from mt.service_accounts where tenant_id = $1 and id = $2")
            .bind(tenant)
            .bind(account.as_uuid())
            .fetch_optional(tx.conn())
            .await
            .map_err(PgError::from)?;
    let role = role.ok_or(ApiKeyError::NotFound)?;
    Ok(variant("role", &role).map_err(PgError::from)?)
}

impl<M: AccessModel> fmt::Debug for NewApiKey<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey")
            .field("holder", &self.holder)
            .field("permissions", &self.permissions)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

impl<M: AccessModel> fmt::Debug for IssuedKey<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("key", &self.key).finish_non_exhaustive()
    }
}
