//! The service accounts of a tenant.

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{AccessModel, Permission, Reads, Writes};
use mt_core::id::ServiceAccountId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::service_accounts::{self, ServiceAccount};
use mt_core::text_enum::TextEnum as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Noun;
use crate::answer::{Answer, created, from_stored, json, no_content, to_stored};
use crate::call::Call;
use crate::fields::{self, LINE, Line};
use crate::group::{Group, Operations};
use crate::openapi::{Description, Schema, date_time, id, text, text_like, words};
use crate::operation::Operation;
use crate::page::PageQuery;

/// The service accounts of a tenant: `GET` and `POST …/service-accounts`, `PATCH` and `DELETE
/// …/service-accounts/{account_id}`.
#[derive(Clone, Copy, Debug)]
pub struct ServiceAccounts<R, W> {
    /// The permission to list them.
    pub read: R,
    /// The permission to create, change and delete them. The rules for members say with which roles.
    pub manage: W,
}

impl<M, R, W> Group<M> for ServiceAccounts<R, W>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    W: Permission<Model = M, Effect = Writes>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let all = format!("{}/service-accounts", noun.item_path());
        let one = format!("{all}/{{account_id}}");
        let word = noun.one();
        let new = Schema::new("NewServiceAccount")
            .with("name", name())
            .with("role", words::<M::Role>())
            .closed();
        let change = Schema::new("ServiceAccountChange").with("role", words::<M::Role>()).closed();
        Operations(vec![
            Operation::new(
                Method::GET,
                all.clone(),
                about("list", format!("Lists the service accounts of the {word}."))
                    .pages_of(&account::<M>()),
                |call| Box::pin(list::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(
                Method::POST,
                all,
                about("create", "Creates a service account. It acts by API keys.".to_owned())
                    .takes(new)
                    .repeatable()
                    .creates(account::<M>())
                    .may(&["conflict"]),
                |call| Box::pin(create::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(
                Method::PATCH,
                one.clone(),
                about("assign", "Changes the role of a service account.".to_owned())
                    .path_id("account_id", "service account")
                    .takes(change)
                    .gives(200, "The service account.", account::<M>()),
                |call| Box::pin(assign::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(
                Method::DELETE,
                one,
                about("delete", "Deletes a service account and its API keys.".to_owned())
                    .path_id("account_id", "service account")
                    .gives_nothing(),
                |call| Box::pin(delete::<M, W>(call)),
            )
            .needs::<W>(),
        ])
    }
}

/// The schema of a name of an account or a key, as `mt-core` takes it.
pub(super) fn name() -> Value {
    let mut name = text_like(LINE);
    name["minLength"] = json!(1);
    name["maxLength"] = json!(100);
    name
}

fn about(id: &str, text: String) -> Description {
    Description::new(format!("service_accounts.{id}"), "service accounts", text)
}

fn account<M: AccessModel>() -> Schema {
    Schema::new("ServiceAccount")
        .with("id", id())
        .with("name", text())
        .with("role", words::<M::Role>())
        .with("created_by", id())
        .with("created_at", date_time())
}

#[derive(Serialize)]
struct AccountView {
    id: Uuid,
    name: String,
    role: &'static str,
    created_by: Uuid,
    created_at: DateTime<Utc>,
}

impl AccountView {
    fn of<M: AccessModel>(account: ServiceAccount<M::Role>) -> Self {
        Self {
            id: account.id.as_uuid(),
            name: account.name,
            role: account.role.as_str(),
            created_by: account.created_by.as_uuid(),
            created_at: account.created_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct NewAccount<M: AccessModel> {
    name: Line,
    #[serde(deserialize_with = "fields::word")]
    role: M::Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct Change<M: AccessModel> {
    #[serde(deserialize_with = "fields::word")]
    role: M::Role,
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let query = PageQuery::read(&call.parts.uri)?;
    let page = call.page(query, &format!("service_accounts:{}", request.tenant()))?;
    let before = page.after().map(ServiceAccountId::from_uuid);
    let read = call.context.tenants.read(request);
    let accounts = service_accounts::list(read, before, page.fetch()).await?;
    let accounts = accounts.into_iter().map(AccountView::of::<M>).collect();
    Ok(json(&page.answer(accounts, |account: &AccountView| account.id)))
}

async fn create<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let (NewAccount::<M> { name, role }, repeatable) = call.json_once().await?;
    let begin = call.context.tenants.begin(request).exclusive();
    let mut tx = begin.idempotent(repeatable.as_ref()).await?;
    if let Some(stored) = tx.stored_response()? {
        return Ok(from_stored(stored)?);
    }
    let account = service_accounts::create(&mut tx, name.as_str(), role).await?;
    let noun = call.context.noun;
    let path = format!("{}/{}/service-accounts/{}", noun.list_path(), tx.tenant(), account.id);
    let answer = created(&path, &AccountView::of::<M>(account));
    tx.store_response(&to_stored(&answer)?).await?;
    tx.commit().await?;
    Ok(answer)
}

async fn assign<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let Change::<M> { role } = call.json().await?;
    let account = ServiceAccountId::from_uuid(call.path_id("account_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    let account = service_accounts::assign_role(&mut tx, account, role).await?;
    tx.commit().await?;
    Ok(json(&AccountView::of::<M>(account)))
}

async fn delete<M, W>(call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let account = ServiceAccountId::from_uuid(call.path_id("account_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    service_accounts::delete(&mut tx, account).await?;
    tx.commit().await?;
    Ok(no_content())
}
