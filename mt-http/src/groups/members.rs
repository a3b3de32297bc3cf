//! The members of a tenant.

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{AccessModel, Permission, Reads, Writes};
use mt_core::id::{PrincipalId, RoleId};
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::Member;
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::Problem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::member_role::{NamedRoleView, given, named_role, present_id, present_role};
use crate::Noun;
use crate::answer::{Answer, json, no_content};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::openapi::{Description, Schema, date_time, id, text, words};
use crate::operation::Operation;
use crate::page::PageQuery;

/// The members of a tenant: `GET …/members`, `PATCH` and `DELETE …/members/{user_id}`.
#[derive(Clone, Copy, Debug)]
pub struct Members<R, A, D> {
    /// The permission to list them.
    pub read: R,
    /// The permission to change roles.
    pub assign: A,
    /// The permission to remove members, and to leave.
    pub remove: D,
}

impl<M, R, A, D> Group<M> for Members<R, A, D>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    A: Permission<Model = M, Effect = Writes>,
    D: Permission<Model = M, Effect = Writes>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let all = format!("{}/members", noun.item_path());
        let one = format!("{all}/{{user_id}}");
        let about =
            |id: &str, text: String| Description::new(format!("members.{id}"), "members", text);
        let noun = noun.one();
        let change = Schema::new("RoleChange")
            .described("A built-in role as `role`, or a custom one as `role_id`.")
            .optional("role", words::<M::Role>())
            .optional("role_id", id())
            .closed();
        Operations(vec![
            Operation::new(
                Method::GET,
                all,
                about("list", format!("Lists the members of the {noun}.")).pages_of(&member::<M>()),
                |call| Box::pin(list::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(
                Method::PATCH,
                one.clone(),
                about("assign", "Changes the role of a member.".to_owned())
                    .path_id("user_id", "user")
                    .takes(change)
                    .gives(200, "The member.", member::<M>())
                    .may(&["last-owner"]),
                |call| Box::pin(assign::<M, A>(call)),
            )
            .needs::<A>(),
            Operation::new(
                Method::DELETE,
                one,
                about("remove", "Removes a member, or lets the caller leave.".to_owned())
                    .path_id("user_id", "user")
                    .gives_nothing()
                    .may(&["last-owner"]),
                |call| Box::pin(remove::<M, D>(call)),
            )
            .needs::<D>(),
        ])
    }
}

fn member<M: AccessModel>() -> Schema {
    Schema::new("Member")
        .with("user_id", id())
        .with("email", text())
        .with("role", words::<M::Role>())
        .optional("custom_role", named_role())
        .with("joined_at", date_time())
}

#[derive(Serialize)]
struct MemberView {
    user_id: Uuid,
    email: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_role: Option<NamedRoleView>,
    joined_at: DateTime<Utc>,
}

impl MemberView {
    fn of<M: AccessModel>(member: Member<M::Role>) -> Self {
        Self {
            user_id: member.principal.as_uuid(),
            email: member.email,
            role: member.role.as_str(),
            custom_role: member.custom_role.map(NamedRoleView::from),
            joined_at: member.joined_at,
        }
    }
}

async fn list<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let query = PageQuery::read(&call.parts.uri)?;
    let page = call.page(query, &format!("members:{}", request.tenant()))?;
    let before = page.after().map(|(joined_at, id)| (joined_at, PrincipalId::from_uuid(id)));
    let members = Member::list(call.context.tenants.read(request), before, page.fetch()).await?;
    let members = members.into_iter().map(MemberView::of::<M>).collect();
    Ok(json(&page.answer(members, |member: &MemberView| (member.joined_at, member.user_id))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct RoleChange<M: AccessModel> {
    #[serde(default, deserialize_with = "present_role")]
    role: Option<M::Role>,
    #[serde(default, deserialize_with = "present_id")]
    role_id: Option<RoleId>,
}

async fn assign<M, A>(mut call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    A: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<A>()?;
    let change: RoleChange<M> = call.json().await?;
    let role = given(change.role, change.role_id)?;
    let user = PrincipalId::from_uuid(call.path_id("user_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    let member = match role {
        Some(role) => tx.assign_role(user, role).await?,
        None => Member::find(&mut tx, user).await?.ok_or(Problem::NOT_FOUND)?,
    };
    tx.commit().await?;
    Ok(json(&MemberView::of::<M>(member)))
}

async fn remove<M, D>(call: Call<'_, M>) -> Answer
where
    M: MemberPolicy,
    D: Permission<Model = M, Effect = Writes>,
{
    let request = call.access::<D>()?;
    let user = PrincipalId::from_uuid(call.path_id("user_id")?);
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    tx.remove_member(user).await?;
    tx.commit().await?;
    Ok(no_content())
}
