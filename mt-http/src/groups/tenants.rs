//! The tenants themselves.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::Method;
use mt_core::access::{
    Access, AccessModel, Denied, Implies, Permission, PermissionSet, Reads, Suspension, Writes,
};
use mt_core::auth::PrincipalKind;
use mt_core::billing::Standing;
use mt_core::id::TenantId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::{CapReached, Overview, SystemReason, Tenant, TenantRows, TenantSummary, Usage};
use mt_core::text_enum::TextEnum as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::permission_words;
use crate::Noun;
use crate::answer::{Answer, Object, created, from_stored, json, no_content, to_stored};
use crate::call::Call;
use crate::fields::{self, LINE, Line, MAX_LINE_CHARS};
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{
    Description, Schema, date_time, id, integer, nullable, text, text_like, words,
};
use crate::operation::Operation;
use crate::page::{Listing, PageQuery};

const CREATE: SystemReason = SystemReason::new("create a tenant");

/// The tenants of the caller: `GET` and `POST /tenants`, `GET`, `PATCH` and `DELETE /tenants/{tenant_id}`.
#[derive(Debug)]
pub struct Tenants<M: AccessModel, R, U, D> {
    /// The permission to read a tenant.
    pub read: R,
    /// The permission to rename it.
    pub update: U,
    /// The permission to delete it.
    pub delete: D,
    /// The resources whose use is shown, with the caps of the plan.
    pub usage: Usage<M>,
}

impl<M, R, U, D> Group<M> for Tenants<M, R, U, D>
where
    M: MemberPolicy,
    R: Permission<Model = M, Effect = Reads>,
    U: Permission<Model = M, Effect = Writes> + Implies<R>,
    D: Permission<Model = M, Effect = Writes>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let usage = Arc::new(self.usage);
        let (all, one) = (noun.list_path(), noun.item_path());
        let (a, word, title) = (noun.article(), noun.one(), noun.title());
        let about = |id: &str, text: String| {
            Description::new(format!("{}.{id}", noun.many()), noun.many(), text)
        };
        let tenant = schema::<M>(noun, &usage);
        let new = Schema::new(format!("New{title}")).with("name", name()).closed();
        let change = Schema::new(format!("{title}Change")).optional("name", name()).closed();
        let of_list = Arc::clone(&usage);
        let of_create = Arc::clone(&usage);
        let of_show = Arc::clone(&usage);
        Operations(vec![
            Operation::new(
                Method::GET,
                all.clone(),
                about("list", format!("Lists the caller's {}.", noun.many())).pages_of(&tenant),
                move |call| {
                    let usage = Arc::clone(&of_list);
                    Box::pin(async move { list::<M, R>(call, &usage).await })
                },
            )
            .behind(Guarded::SignedIn),
            Operation::new(
                Method::POST,
                all,
                about("create", format!("Creates {a} {word}, with the caller as its owner."))
                    .takes(new)
                    .repeatable()
                    .creates(tenant.clone())
                    .may(&["cap-reached"]),
                move |call| {
                    let usage = Arc::clone(&of_create);
                    Box::pin(async move { create(call, &usage).await })
                },
            )
            .behind(Guarded::SignedIn),
            Operation::new(
                Method::GET,
                one.clone(),
                about("show", format!("Shows {a} {word}."))
                    .gives(200, "The resource.", tenant.clone()),
                move |call| {
                    let usage = Arc::clone(&of_show);
                    Box::pin(async move { show::<M, R>(call, &usage).await })
                },
            )
            .needs::<R>(),
            Operation::new(
                Method::PATCH,
                one.clone(),
                about("update", format!("Renames {a} {word}."))
                    .takes(change)
                    .gives(200, "The resource.", tenant),
                move |call| {
                    let usage = Arc::clone(&usage);
                    Box::pin(async move { update::<M, R, U>(call, &usage).await })
                },
            )
            .needs::<U>(),
            Operation::new(
                Method::DELETE,
                one,
                about(
                    "delete",
                    format!(
                        "Deletes {a} {word} and everything in it. Its subscription is cancelled at Stripe soon after."
                    ),
                )
                .gives_nothing(),
                |call| Box::pin(delete::<M, D>(call)),
            )
            .needs::<D>(),
        ])
    }
}

/// The schema of a tenant's name.
fn name() -> serde_json::Value {
    let mut name = text_like(LINE);
    name["minLength"] = json!(1);
    name["maxLength"] = json!(MAX_LINE_CHARS);
    name
}

fn schema<M: AccessModel>(noun: Noun, usage: &Usage<M>) -> Schema {
    let level = Schema::new("Level").with("used", integer()).with("cap", nullable(integer()));
    let levels = usage
        .caps(M::INITIAL_PLAN)
        .fold(Schema::new("Usage"), |all, (resource, _)| all.with_one(resource, level.clone()))
        .described("The use of its capped resources; `null` if it is fully suspended.");
    Schema::new(noun.title())
        .with("id", id())
        .with("name", text())
        .with("role", words::<M::Role>())
        .with("permissions", permission_words::schema::<M>())
        .with("plan", words::<M::Plan>())
        .with("subscription_status", text())
        .with("standing", words::<Standing>())
        .with("suspension", words::<Suspension>())
        .with_one_or_null("usage", levels)
        .with("created_at", date_time())
}

#[derive(Serialize)]
struct TenantView {
    id: Uuid,
    name: String,
    role: &'static str,
    permissions: Vec<&'static str>,
    plan: &'static str,
    subscription_status: String,
    standing: &'static str,
    suspension: &'static str,
    usage: Option<Object>,
    created_at: DateTime<Utc>,
}

impl TenantView {
    fn new<M: AccessModel>(access: &Access<M>, overview: Overview, usage: &Usage<M>) -> Self {
        let Overview { name, subscription_status, created_at, used } = overview;
        Self {
            id: access.tenant().as_uuid(),
            name,
            role: access.role().as_str(),
            permissions: permission_words::texts(access.permissions()),
            plan: access.plan().as_str(),
            subscription_status,
            standing: access.standing().as_str(),
            suspension: access.suspension().as_str(),
            usage: Some(levels(usage, access.plan(), &used)),
            created_at,
        }
    }

    /// What its member's list knows of a tenant that no transaction may be opened in. It answers nothing at its own
    /// address, and is still one of the caller's.
    fn unread<M: AccessModel>(summary: TenantSummary, access: &Access<M>) -> Self {
        let TenantSummary { tenant, role: _ } = summary;
        Self {
            id: tenant.id.as_uuid(),
            name: tenant.name,
            role: access.role().as_str(),
            permissions: permission_words::texts(access.permissions()),
            plan: access.plan().as_str(),
            subscription_status: tenant.subscription_status.to_string(),
            standing: access.standing().as_str(),
            suspension: access.suspension().as_str(),
            usage: None,
            created_at: tenant.created_at,
        }
    }
}

/// The use of each resource, and the cap of the plan.
fn levels<M: AccessModel>(usage: &Usage<M>, plan: M::Plan, used: &[i64]) -> Object {
    usage.caps(plan).zip(used).fold(Object::new(), |levels, ((resource, cap), used)| {
        let level = Object::new().with("used", *used).with("cap", cap);
        levels.with_object(resource, level)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    name: Line,
}

async fn create<M: MemberPolicy>(mut call: Call<'_, M>, usage: &Usage<M>) -> Answer {
    let caller = call.caller()?;
    let (new, repeatable): (NewTenant, _) = call.json_once().await?;
    let options = &call.context.options;
    let noun = call.context.noun;
    let mut tx = call.context.system.begin_for(caller, CREATE).await?;
    if let Some(request) = &repeatable
        && let Some(stored) = request.stored_response(&mut tx, caller.id()).await?
    {
        return Ok(from_stored(stored)?);
    }
    if let Some(cap) = options.max_owned {
        let owned = Tenant::count_owned(&mut tx, caller.id(), cap.get()).await?;
        if owned >= cap.get() {
            return Err(CapReached { resource: noun.many(), cap: cap.get() }.into());
        }
    }
    let tenant = Tenant::create::<M>(&mut tx, new.name.as_str(), caller.id()).await?;
    let plan = M::INITIAL_PLAN;
    let used: Vec<i64> =
        usage.caps(plan).map(|(resource, _)| i64::from(resource == "members")).collect();
    let view = TenantView {
        id: tenant.id.as_uuid(),
        name: tenant.name,
        role: M::OWNER.as_str(),
        permissions: permission_words::texts(PermissionSet::<M>::of_role(M::OWNER)),
        plan: plan.as_str(),
        subscription_status: tenant.subscription_status.to_string(),
        standing: Standing::Good.as_str(),
        suspension: tenant.suspension.as_str(),
        usage: Some(levels(usage, plan, &used)),
        created_at: tenant.created_at,
    };
    let answer = created(&format!("{}/{}", noun.list_path(), tenant.id), &view);
    if let Some(request) = &repeatable {
        request.store_response(&mut tx, caller.id(), &to_stored(&answer)?).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

async fn list<M, R>(call: Call<'_, M>, usage: &Usage<M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
{
    let (context, principal) = (call.context, call.caller()?);
    let scope = format!("{}:{}", context.noun.many(), principal.id());
    let page = call.page(PageQuery::read(&call.parts.uri)?, &scope)?;
    if principal.kind() == PrincipalKind::ServiceAccount {
        return list_own::<M, R>(call, usage).await;
    }
    let mut tx = context.principals.begin(principal).await?;
    let before = page.after().map(TenantId::from_uuid);
    let summaries = Tenant::of_principal(&mut tx, before, page.fetch()).await?;
    tx.commit().await?;
    let Listing { items: summaries, next_cursor } =
        page.answer(summaries, |summary: &TenantSummary| summary.tenant.id.as_uuid());

    // Row-level security shows one tenant at a time: what is in each is counted there, in one transaction for all.
    let ids: Vec<_> = summaries.iter().map(|summary| summary.tenant.id).collect();
    let overviews =
        context.tenants.read_each::<R, _>(principal, &ids, |tenant| usage.overview(tenant)).await?;
    let mut summaries = summaries.into_iter();
    let mut items = Vec::with_capacity(overviews.len());
    for TenantRows { access, rows } in overviews {
        // Tenants that the caller has left since the list was read have a summary and no overview.
        let summary = summaries.find(|summary| summary.tenant.id == access.tenant());
        match (rows, summary) {
            // One that was deleted in between has no row.
            (Ok(rows), _) => {
                items.extend(rows.into_iter().map(|row| TenantView::new(&access, row, usage)));
            }
            (Err(Denied::Suspended | Denied::PaymentRequired), Some(summary)) => {
                items.push(TenantView::unread(summary, &access));
            }
            // A credential that is limited to one tenant, and to other permissions.
            (Err(Denied::Forbidden), _) if principal.tenant().is_some() => {
                return Err(Denied::Forbidden.into());
            }
            // The caller has left it, or has a custom role there that may not read it. What one tenant allows must not
            // cost its members the list of the others.
            (Err(_), _) => {}
        }
    }
    Ok(json(&Listing { items, next_cursor }))
}

/// The list of a service account, which has no memberships: the tenant that it belongs to.
async fn list_own<M, R>(call: Call<'_, M>, usage: &Usage<M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
{
    let principal = call.caller()?;
    let own: Vec<_> = principal.tenant().into_iter().collect();
    let tenants = &call.context.tenants;
    let found = tenants.read_each::<R, _>(principal, &own, |tenant| usage.overview(tenant)).await?;
    let mut items = Vec::new();
    for TenantRows { access, rows } in found {
        items.extend(rows?.into_iter().map(|row| TenantView::new(&access, row, usage)));
    }
    Ok(json(&Listing { items, next_cursor: None }))
}

async fn show<M, R>(call: Call<'_, M>, usage: &Usage<M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
{
    let request = call.access::<R>()?;
    let mut tx = call.context.tenants.begin(request).await?;
    let overview = usage.load::<R, _, _>(&mut tx).await?;
    let view = TenantView::new(tx.access(), overview, usage);
    tx.commit().await?;
    Ok(json(&view))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "fields::present")]
    name: Option<Line>,
}

async fn update<M, R, U>(mut call: Call<'_, M>, usage: &Usage<M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
    U: Permission<Model = M, Effect = Writes> + Implies<R>,
{
    let request = call.access::<U>()?;
    let change: Change = call.json().await?;
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    if let Some(name) = change.name {
        Tenant::rename(&mut tx, name.as_str()).await?;
    }
    let overview = usage.load::<R, _, _>(&mut tx).await?;
    let view = TenantView::new(tx.access(), overview, usage);
    tx.commit().await?;
    Ok(json(&view))
}

async fn delete<M: AccessModel, D: Permission<Model = M, Effect = Writes>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<D>()?;
    let mut tx = call.context.tenants.begin(request).exclusive().await?;
    Tenant::delete(&mut tx).await?;
    tx.commit().await?;
    Ok(no_content())
}
