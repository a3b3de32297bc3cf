//! Custom roles of a tenant.

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{AccessModel, Permission, PermissionSet, Reads, Writes};
use mt_core::id::RoleId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::roles::{self, CustomRole, NewRole, RoleChange};
use mt_core::text_enum::TextEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::permission_words::{schema, texts};
use crate::Noun;
use crate::answer::{Answer, created, from_stored, json, no_content, to_stored};
use crate::call::Call;
use crate::fields::{self, LINE, Line, MAX_LINE_CHARS};
use crate::group::{Group, Operations};
use crate::openapi::{Description, Schema, date_time, id, text, text_like, words};
use crate::operation::Operation;

/// Custom roles of a tenant: `GET` and `POST …/roles`, `PATCH` and `DELETE …/roles/{role_id}`.
///
/// The list has the built-in roles too. A caller makes, changes and deletes roles within what they hold
/// ([`mt_core::pg::roles`]); [`Members`](crate::Members) and [`Invites`](crate::Invites) take the id of one as `role_id`.
#[derive(Clone, Copy, Debug)]
pub struct Roles<R, W> {
    /// The permission to list them.
    pub read: R,
    /// The permission to make, change and delete them.
    pub write: W,
}

impl<M, R, W> Group<M> for Roles<R, W>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    W: Permission<Model = M, Effect = Writes>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let all = format!("{}/roles", noun.item_path());
        let one = format!("{all}/{{role_id}}");
        let listing = Schema::new("RoleListing")
            .described("The built-in roles, and the custom ones by name. It has no pages.")
            .with_list("built_in", built_in::<M>())
            .with_list("items", custom::<M>());
        let new = Schema::new("NewRole")
            .with("name", line())
            .with("based_on", words::<M::Role>())
            .with("permissions", schema::<M>())
            .closed();
        let change = Schema::new("RoleEdit")
            .optional("name", line())
            .optional("permissions", schema::<M>())
            .closed();
        let noun = noun.one();
        Operations(vec![
            Operation::new(
                Method::GET,
                all.clone(),
                about("list", format!("Lists the roles of the {noun}.")).gives(
                    200,
                    "The roles.",
                    listing,
                ),
                |call| Box::pin(list::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(
                Method::POST,
                all,
                about("create", "Makes a custom role, of permissions that the caller holds.")
                    .takes(new)
                    .repeatable()
                    .creates(custom::<M>())
                    .may(&["conflict"]),
                |call| Box::pin(create::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(
                Method::PATCH,
                one.clone(),
                about("change", "Changes a custom role, for all who have it.")
                    .path_id("role_id", "role")
                    .takes(change)
                    .gives(200, "The role.", custom::<M>())
                    .may(&["conflict"]),
                |call| Box::pin(change_role::<M, W>(call)),
            )
            .needs::<W>(),
            Operation::new(
                Method::DELETE,
                one,
                about("delete", "Deletes a custom role that no member and no open invite has.")
                    .path_id("role_id", "role")
                    .gives_nothing()
                    .may(&["conflict"]),
                |call| Box::pin(delete::<M, W>(call)),
            )
            .needs::<W>(),
        ])
    }
}

fn about(id: &str, text: impl Into<String>) -> Description {
    Description::new(format!("roles.{id}"), "roles", text)
}

fn line() -> Value {
    let mut line = text_like(LINE);
    line["maxLength"] = json!(MAX_LINE_CHARS);
    line
}

fn built_in<M: AccessModel>() -> Schema {
    Schema::new("BuiltInRole").with("role", words::<M::Role>()).with("permissions", schema::<M>())
}

fn custom<M: AccessModel>() -> Schema {
    Schema::new("CustomRole")
        .with("id", id())
        .with("name", text())
        .with("based_on", words::<M::Role>())
        .with("permissions", schema::<M>())
        .with("created_at", date_time())
        .with("updated_at", date_time())
}

#[derive(Serialize)]
struct RolesView {
    built_in: Vec<BuiltInView>,
    items: Vec<CustomView>,
}

#[derive(Serialize)]
struct BuiltInView {
    role: &'static str,
    permissions: Vec<&'static str>,
}

#[derive(Serialize)]
struct CustomView {
    id: Uuid,
    name: String,
    based_on: &'static str,
    permissions: Vec<&'static str>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl BuiltInView {
    fn of<M: AccessModel>(role: M::Role) -> Self {
        let permissions = texts(PermissionSet::<M>::of_role(role));
        Self { role: role.as_str(), permissions }
    }
}

impl CustomView {
    fn of<M: AccessModel>(role: CustomRole<M>) -> Self {
        Self {
            id: role.id.as_uuid(),
            name: role.name,
            based_on: role.based_on.as_str(),
            permissions: texts(role.permissions),
            created_at: role.created_at,
            updated_at: role.updated_at,
        }
    }
}

/// A word in a list of words.
#[derive(Deserialize)]
#[serde(transparent, bound = "")]
struct Word<W: TextEnum>(#[serde(deserialize_with = "fields::word")] W);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct New<M: AccessModel> {
    name: Line,
    #[serde(deserialize_with = "fields::word")]
    based_on: M::Role,
    permissions: Vec<Word<M::Permission>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct Edit<M: AccessModel> {
    #[serde(default, deserialize_with = "fields::present")]
    name: Option<Line>,
    #[serde(default, deserialize_with = "fields::present")]
    permissions: Option<Vec<Word<M::Permission>>>,
}

fn set_of<M: AccessModel>(words: Vec<Word<M::Permission>>) -> PermissionSet<M> {
    words.into_iter().map(|Word(word)| word).collect()
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let custom = roles::list(call.context.tenants.read(request)).await?;
    let built_in = M::Role::ALL.iter().map(|role| BuiltInView::of::<M>(*role)).collect();
    let items = custom.into_iter().map(CustomView::of).collect();
    Ok(json(&RolesView { built_in, items }))
}

async fn create<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let (new, repeatable) = call.json_once::<New<M>>().await?;
    let begin = call.context.tenants.begin(request).exclusive();
    let mut tx = begin.idempotent(repeatable.as_ref()).await?;
    if let Some(stored) = tx.stored_response()? {
        return Ok(from_stored(stored)?);
    }
    let (based_on, permissions) = (new.based_on, set_of::<M>(new.permissions));
    let role = NewRole { name: new.name.as_str(), based_on, permissions };
    let made = roles::create(&mut tx, role).await?;
    let path = format!("{}/{}/roles/{}", call.context.noun.list_path(), tx.tenant(), made.id);
    let answer = created(&path, &CustomView::of(made));
    tx.store_response(&to_stored(&answer)?).await?;
    tx.commit().await?;
    Ok(answer)
}

async fn change_role<M, W>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let edit = call.json::<Edit<M>>().await?;
    let role = RoleId::from_uuid(call.path_id("role_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    let name = edit.name.as_ref().map(Line::as_str);
    let change = RoleChange { name, permissions: edit.permissions.map(set_of) };
    let changed = roles::change(&mut tx, role, change).await?;
    tx.commit().await?;
    Ok(json(&CustomView::of(changed)))
}

async fn delete<M, W>(call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    W: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<W>()?;
    let role = RoleId::from_uuid(call.path_id("role_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    roles::delete(&mut tx, role).await?;
    tx.commit().await?;
    Ok(no_content())
}
