//! The API keys of a tenant.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{AccessModel, Permission, PermissionSet, Reads, Writes};
use mt_core::id::{ApiKeyId, PrincipalId, ServiceAccountId};
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::Resource;
use mt_core::pg::api_keys::{self, ApiKey, IssuedKey, KeyHolder, NewApiKey};
use mt_tower::problem::{FieldError, Problem};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::permission_words;
use crate::Noun;
use crate::answer::{Answer, created, json, no_content};
use crate::call::Call;
use crate::fields::{self, Line};
use crate::group::{Group, Operations};
use crate::openapi::{Description, Schema, boolean, date_time, id, nullable, text};
use crate::operation::Operation;
use crate::page::PageQuery;
use crate::problems::invalid_fields;

/// The most days after which a key may expire: ten years.
const MAX_DAYS: u32 = 3650;
/// The most hours for which a key that was replaced may stay good: a week.
const MAX_OVERLAP_HOURS: u32 = 168;

/// The API keys of a tenant: `GET` and `POST …/api-keys`, `PATCH` and `DELETE …/api-keys/{key_id}`, `POST
/// …/api-keys/{key_id}/rotate`. They need [`EndpointOptions::api_keys`](crate::EndpointOptions::api_keys).
///
/// An answer that has a key is not stored under an idempotency key: the database never holds a key.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeys<R, W, K> {
    /// The permission to list them.
    pub read: R,
    /// The permission to create, rotate, narrow and revoke them: the caller's own, and those that the rules for members
    /// allow.
    pub manage: W,
    /// The cap on keys that can be used.
    pub keys: K,
}

impl<M, R, W, K> Group<M> for ApiKeys<R, W, K>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    W: Permission<Model = M, Effect = Writes>,
    K: Resource<Model = M>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let all = format!("{}/api-keys", noun.item_path());
        let one = format!("{all}/{{key_id}}");
        let narrowed = Schema::new("ApiKeyChange")
            .with("permissions", permission_words::schema::<M>())
            .closed();
        Operations(vec![
            Operation::new(
                Method::GET,
                all.clone(),
                about("list", format!("Lists the API keys of the {}.", noun.one()))
                    .pages_of(&key::<M>()),
                |call| Box::pin(list::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(Method::POST, all, about_create::<M>(), |call| {
                Box::pin(create::<M, W, K>(call))
            })
            .needs::<W>(),
            Operation::new(
                Method::PATCH,
                one.clone(),
                about("narrow", "Limits an API key to fewer permissions.".to_owned())
                    .path_id("key_id", "API key")
                    .takes(narrowed)
                    .gives_nothing(),
                |call| Box::pin(narrow::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(
                Method::DELETE,
                one.clone(),
                about("revoke", "Revokes an API key.".to_owned())
                    .path_id("key_id", "API key")
                    .gives_nothing(),
                |call| Box::pin(revoke::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(Method::POST, format!("{one}/rotate"), about_rotate::<M>(), |call| {
                Box::pin(rotate::<M, W>(call))
            })
            .needs::<W>(),
        ])
    }
}

fn about(id: &str, text: String) -> Description {
    Description::new(format!("api_keys.{id}"), "API keys", text)
}

fn key<M: AccessModel>() -> Schema {
    Schema::new("ApiKey")
        .with("id", id())
        .with("name", text())
        .with("hint", text())
        .with("user_id", nullable(id()))
        .with("service_account_id", nullable(id()))
        .with("permissions", nullable(permission_words::schema::<M>()))
        .with("created_by", id())
        .with("created_at", date_time())
        .with("expires_at", nullable(date_time()))
        .with("revoked_at", nullable(date_time()))
        .with("last_used_at", nullable(date_time()))
        .optional("key", text())
}

fn about_create<M: AccessModel>() -> Description {
    let text = "Creates an API key, and answers with the key itself: it is shown once.\n\n\
        Without `service_account_id` the caller holds the key. With it the service account does, and with \
        `on_behalf_of_me` it acts on behalf of the caller. A key may do what its holder may, within `permissions`. \
        API keys create no keys.";
    let new = Schema::new("NewApiKey")
        .with("name", super::service_accounts::name())
        .optional("service_account_id", id())
        .optional("on_behalf_of_me", boolean())
        .optional("permissions", permission_words::schema::<M>())
        .optional("expires_in_days", json!({"type": "integer", "minimum": 1, "maximum": MAX_DAYS}))
        .closed();
    about("create", text.to_owned()).takes(new).creates(key::<M>()).may(&["cap-reached"])
}

fn about_rotate<M: AccessModel>() -> Description {
    let text =
        "Creates a second key in the place of this one, which stays good for `overlap_hours`.";
    let hours = json!({"type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_HOURS});
    about("rotate", text.to_owned())
        .path_id("key_id", "API key")
        .takes(Schema::new("ApiKeyRotation").with("overlap_hours", hours).closed())
        .creates(key::<M>())
        .may(&["conflict"])
}

#[derive(Serialize)]
struct KeyView {
    id: Uuid,
    name: String,
    hint: String,
    user_id: Option<Uuid>,
    service_account_id: Option<Uuid>,
    permissions: Option<Vec<&'static str>>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyView {
    fn of<M: AccessModel>(key: ApiKey<M>) -> Self {
        Self {
            id: key.id.as_uuid(),
            name: key.name,
            hint: key.hint,
            user_id: key.user.map(PrincipalId::as_uuid),
            service_account_id: key.service_account.map(ServiceAccountId::as_uuid),
            permissions: key.permissions.map(permission_words::texts),
            created_by: key.created_by.as_uuid(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            key: None,
        }
    }

    fn issued<M: AccessModel>(IssuedKey { key, text }: IssuedKey<M>) -> Self {
        Self { key: Some(text.reveal().to_owned()), ..Self::of(key) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct NewKey<M: AccessModel> {
    name: Line,
    #[serde(default, deserialize_with = "present_account")]
    service_account_id: Option<ServiceAccountId>,
    #[serde(default)]
    on_behalf_of_me: bool,
    #[serde(default, deserialize_with = "some_permissions::<M, _>")]
    permissions: Option<PermissionSet<M>>,
    #[serde(default, deserialize_with = "fields::present")]
    expires_in_days: Option<u32>,
}

impl<M: AccessModel> NewKey<M> {
    /// The key to create, or what is wrong with the fields.
    fn checked(self) -> Result<NewApiKey<M>, Problem> {
        let holder = match (self.service_account_id, self.on_behalf_of_me) {
            (None, false) => KeyHolder::Caller,
            (Some(account), false) => KeyHolder::ServiceAccount(account),
            (Some(account), true) => KeyHolder::OnBehalfOfCaller(account),
            (None, true) => {
                return Err(invalid("/on_behalf_of_me", "needs a `service_account_id` that acts"));
            }
        };
        let new = NewApiKey::new(self.name.as_str(), holder);
        let new = match self.permissions {
            Some(permissions) => new.limited_to(permissions),
            None => new,
        };
        match self.expires_in_days {
            None => Ok(new),
            Some(days @ 1..=MAX_DAYS) => Ok(new.expiring_in(Duration::from_hours(24) * days)),
            Some(_) => Err(invalid("/expires_in_days", format!("must be 1 to {MAX_DAYS}"))),
        }
    }
}

fn invalid(pointer: &'static str, detail: impl Into<String>) -> Problem {
    invalid_fields(vec![FieldError::new(pointer, detail.into())])
}

fn present_account<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServiceAccountId>, D::Error> {
    fields::parsed(deserializer, |text| ServiceAccountId::parse(text).ok_or("must be an id"))
        .map(Some)
}

fn some_permissions<'de, M: AccessModel, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PermissionSet<M>>, D::Error> {
    permission_set(deserializer).map(Some)
}

fn permission_set<'de, M: AccessModel, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PermissionSet<M>, D::Error> {
    let permissions = Vec::<Word<M>>::deserialize(deserializer)?;
    Ok(permissions.into_iter().map(|Word(permission)| permission).collect())
}

#[derive(Deserialize)]
#[serde(bound = "", transparent)]
struct Word<M: AccessModel>(#[serde(deserialize_with = "fields::word")] M::Permission);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct Change<M: AccessModel> {
    #[serde(deserialize_with = "permission_set::<M, _>")]
    permissions: PermissionSet<M>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    overlap_hours: u32,
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let query = PageQuery::read(&call.parts.uri)?;
    let page = call.page(query, &format!("api_keys:{}", request.tenant()))?;
    let before = page.after().map(ApiKeyId::from_uuid);
    let keys = api_keys::list(call.context.tenants.read(request), before, page.fetch()).await?;
    let keys = keys.into_iter().map(KeyView::of::<M>).collect();
    Ok(json(&page.answer(keys, |key: &KeyView| key.id)))
}

async fn create<M, W, K>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
    K: Resource<Model = M>,
{
    let request = call.access::<W>()?;
    let new = call.json::<NewKey<M>>().await?.checked()?;
    let keys = call.api_keys()?;
    let (mut tx, cap) = call.context.tenants.begin(request).exclusive().capped::<K>().await?;
    let issued = keys.create(&mut tx, cap, &new).await?;
    let path = call.path_of_key(tx.tenant(), issued.key.id);
    tx.commit().await?;
    Ok(created(&path, &KeyView::issued(issued)))
}

async fn rotate<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let Rotation { overlap_hours } = call.json().await?;
    if overlap_hours > MAX_OVERLAP_HOURS {
        let most = format!("must be 0 to {MAX_OVERLAP_HOURS}");
        return Err(invalid("/overlap_hours", most).into());
    }
    let key = ApiKeyId::from_uuid(call.path_id("key_id")?);
    let keys = call.api_keys()?;
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    let overlap = Duration::from_hours(overlap_hours.into());
    let issued = keys.rotate(&mut tx, key, overlap).await?;
    let path = call.path_of_key(tx.tenant(), issued.key.id);
    tx.commit().await?;
    Ok(created(&path, &KeyView::issued(issued)))
}

async fn narrow<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let Change::<M> { permissions } = call.json().await?;
    let key = ApiKeyId::from_uuid(call.path_id("key_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    api_keys::narrow(&mut tx, key, permissions).await?;
    tx.commit().await?;
    Ok(no_content())
}

async fn revoke<M, W>(call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let key = ApiKeyId::from_uuid(call.path_id("key_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    api_keys::revoke(&mut tx, key).await?;
    tx.commit().await?;
    Ok(no_content())
}

impl<M: AccessModel> Call<'_, M> {
    fn path_of_key(&self, tenant: mt_core::id::TenantId, key: ApiKeyId) -> String {
        format!("{}/{tenant}/api-keys/{key}", self.context.noun.list_path())
    }
}
