//! Callers with API keys.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::auth::api_key::ApiKeyText;
use crate::id::{ApiKeyId, ServiceAccountId, TenantId};
use crate::pg::api_keys::labelled;
use crate::testing::TestDatabase;
use crate::token::TokenHasher;

/// Creates API keys for the callers of a test: one of the tenant's owner, one of a service account, and one with which the
/// service account acts on behalf of the owner. The account has the role of the first member who is not an owner.
///
/// [`Harness::with_api_keys`](super::Harness::with_api_keys) adds these callers to each tenant.
#[derive(Clone, Debug)]
pub struct KeyCallers {
    prefix: &'static str,
    hasher: TokenHasher,
}

impl KeyCallers {
    /// The names of the callers, in the order of [`create`](Self::create).
    pub const NAMES: [&'static str; 3] = ["api key", "account", "agent"];

    /// Creates keys as [`Database::api_keys`](crate::pg::Database::api_keys) with the same arguments does.
    #[must_use]
    pub const fn new(prefix: &'static str, hasher: TokenHasher) -> Self {
        Self { prefix, hasher }
    }

    /// Creates the service account and the three keys in `tenant`, and returns the keys. `text` is part of each name.
    ///
    /// # Panics
    ///
    /// When a query fails, or the tenant has no owner.
    pub async fn create(&self, db: &TestDatabase, tenant: TenantId, text: &str) -> [String; 3] {
        let account = ServiceAccountId::generate();
        let owner: Uuid = sqlx::query_scalar(
            "with account as (insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
                 select $1, $2, 'agent ' || $3, role, principal_id from mt.memberships where tenant_id = $1 \
                 order by is_owner, created_at, principal_id limit 1) \
             select principal_id from mt.memberships where tenant_id = $1 and is_owner order by created_at limit 1",
        )
        .bind(tenant.as_uuid())
        .bind(account.as_uuid())
        .bind(text)
        .fetch_one(db.admin())
        .await
        .expect("a tenant with an owner takes a service account");
        let account = account.as_uuid();
        let holders = [(Some(owner), None), (None, Some(account)), (Some(owner), Some(account))];
        let mut keys = Vec::new();
        for (user, account) in holders {
            let key = ApiKeyText::generate(self.prefix);
            sqlx::query(
                "insert into mt.api_keys (tenant_id, id, user_id, service_account_id, name, digest, hint, series, created_by, \
                     last_used_at) \
                 values ($1, $2, $3, $4, 'key ' || $5, $6, $7, $2, $8, now())",
            )
            .bind(tenant.as_uuid())
            .bind(ApiKeyId::generate().as_uuid())
            .bind(user)
            .bind(account)
            .bind(text)
            .bind(self.hasher.hash(&labelled(key.reveal())).as_bytes())
            .bind(key.hint(self.prefix))
            .bind(owner)
            .execute(db.admin())
            .await
            .expect("a tenant takes an API key");
            keys.push(key.reveal().to_owned());
        }
        keys.try_into().expect("a key for each holder")
    }
}

/// What ends keys, and what a finding says of a key that still works.
pub(super) const ENDS: [(&str, &str); 2] = [
    (
        "update mt.api_keys set revoked_at = now() where tenant_id = $1",
        "a revoked API key still works",
    ),
    (
        "with other as (insert into mt.users (id, email) values (gen_random_uuid(), 'next-' || $1 || '@example.org') \
             returning id), next as (insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             select $1, other.id, m.role, true from other, mt.memberships m where m.tenant_id = $1 and m.is_owner limit 1), \
             accounts as (delete from mt.service_accounts where tenant_id = $1) \
         delete from mt.memberships where tenant_id = $1",
        "an API key outlives its holder",
    ),
];

/// Ends all keys of a tenant in one of the ways of [`ENDS`].
pub(super) async fn end(db: &TestDatabase, tenant: TenantId, sql: &'static str) {
    sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .execute(db.admin())
        .await
        .expect("a superuser can end keys");
}
