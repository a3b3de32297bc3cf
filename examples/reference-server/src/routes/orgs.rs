//! Orgs: what the library calls tenants.

use chrono::{DateTime, Utc};
use mt_core::access::{Access, Denied, Implies, Permission, Suspension};
use mt_core::billing::Standing;
use mt_core::id::TenantId;
use mt_core::pg::{CapReached, PgError, SystemReason, Tenant, TenantRows, TenantSummary, TenantTx};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::once::Once;
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::caller::{Caller, InOrg};
use crate::http::fields::{self, Name};
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::http::text_enum::AsText;
use crate::model::{OrgDelete, OrgRead, OrgUpdate, Plan, Product, Role};
use crate::product::{Overview, OverviewRow, Usage};

const CREATE: SystemReason = SystemReason::new("create an org");

/// `/orgs`.
pub(super) fn all() -> Router {
    Router::new().get(list).post(create)
}

/// `/orgs/{org_id}`.
pub(super) fn one() -> Router {
    Router::new().get(show).patch(update).delete(delete)
}

#[derive(Serialize, ToSchema)]
struct Org {
    id: Uuid,
    name: String,
    role: AsText<Role>,
    plan: AsText<Plan>,
    subscription_status: String,
    standing: AsText<Standing>,
    suspension: AsText<Suspension>,
    /// The use of its capped resources; `null` if the org is fully suspended.
    #[salvo(schema(required = true))]
    usage: Option<Usage>,
    created_at: DateTime<Utc>,
}

impl Made for Org {}

impl Org {
    async fn of<P: Permission<Model = Product> + Implies<OrgRead>, L>(
        tx: &mut TenantTx<P, L>,
    ) -> Result<Self, ApiError> {
        let overview = Overview::load(tx).await?;
        Ok(Self::new(tx.access(), overview))
    }

    fn new(access: &Access<Product>, overview: Overview) -> Self {
        let Overview { name, subscription_status, created_at, usage } = overview;
        Self {
            id: access.tenant().as_uuid(),
            name,
            role: AsText(access.role()),
            plan: AsText(access.plan()),
            subscription_status,
            standing: AsText(access.standing()),
            suspension: AsText(access.suspension()),
            usage: Some(usage),
            created_at,
        }
    }

    /// What its member's list knows of an org that no transaction may be opened in.
    fn suspended(summary: TenantSummary, access: &Access<Product>) -> Self {
        let TenantSummary { tenant, role: _ } = summary;
        Self {
            id: tenant.id.as_uuid(),
            name: tenant.name,
            role: AsText(access.role()),
            plan: AsText(access.plan()),
            subscription_status: tenant.subscription_status.to_string(),
            standing: AsText(access.standing()),
            suspension: AsText(Suspension::Full),
            usage: None,
            created_at: tenant.created_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOrg {
    name: Name,
}

/// Creates an org, with the caller as its owner.
#[endpoint(tags("orgs"), responses(problems::CapReached))]
async fn create(
    caller: Caller,
    once: Once<NewOrg>,
    depot: &mut Depot,
) -> Result<Created<Org>, ApiError> {
    let (app, caller) = (App::of(depot), caller.0);
    let mut tx = app.system.begin_for(caller, CREATE).await?;
    if let Some(earlier) = once.stored_response(&mut tx, caller).await? {
        return Ok(earlier);
    }
    if let Some(cap) = app.max_owned_orgs {
        let owned = Tenant::count_owned(&mut tx, caller.id(), cap.get()).await?;
        if owned >= cap.get() {
            return Err(CapReached { resource: "orgs", cap: cap.get() }.into());
        }
    }
    let tenant = Tenant::create::<Product>(&mut tx, once.body.name.as_str(), caller.id()).await?;
    let plan = Plan::Free;
    let org = Org {
        id: tenant.id.as_uuid(),
        name: tenant.name,
        role: AsText(Role::Owner),
        plan: AsText(plan),
        subscription_status: tenant.subscription_status.to_string(),
        standing: AsText(Standing::Good),
        suspension: AsText(tenant.suspension),
        usage: Some(Usage::of_new(plan)),
        created_at: tenant.created_at,
    };
    let created = Created::new(&format!("/orgs/{}", tenant.id), &org);
    once.store_response(&mut tx, caller, &created).await?;
    tx.commit().await?;
    Ok(created)
}

/// Lists the caller's orgs.
#[endpoint(tags("orgs"))]
async fn list(
    caller: Caller,
    page: PageQuery,
    depot: &mut Depot,
) -> Result<Listing<Org>, ApiError> {
    let (app, principal) = (App::of(depot), caller.0);
    let page = page.of(&app.cursors, &format!("orgs:{}", principal.id()))?;
    let mut tx = app.principals.begin(principal).await?;
    let before = page.after().map(TenantId::from_uuid);
    let summaries = Tenant::of_principal(&mut tx, before, page.fetch()).await?;
    tx.commit().await?;
    let Listing { items: summaries, next_cursor } =
        page.answer(summaries, |summary| summary.tenant.id.as_uuid());

    // Row-level security shows one org at a time: what is in each is counted there, in one transaction for all.
    let orgs: Vec<_> = summaries.iter().map(|summary| summary.tenant.id).collect();
    let overviews =
        app.tenants.read_each::<OrgRead, _>(principal, &orgs, OverviewRow::query).await?;
    let mut summaries = summaries.into_iter();
    let mut items = Vec::with_capacity(overviews.len());
    for TenantRows { access, rows } in overviews {
        // Orgs that the caller has left since the list was read have a summary and no overview.
        let summary = summaries.find(|summary| summary.tenant.id == access.tenant());
        match (rows, summary) {
            (Ok(rows), _) => {
                let row = rows.into_iter().next();
                let row = row.ok_or(PgError::Database(sqlx::Error::RowNotFound))?;
                items.push(Org::new(&access, row.on(access.plan())));
            }
            // It answers nothing at its own address, and is still one of the caller's.
            (Err(Denied::Suspended), Some(summary)) => items.push(Org::suspended(summary, &access)),
            (Err(denied), _) => return Err(denied.into()),
        }
    }
    Ok(Listing { items, next_cursor })
}

/// Shows an org.
#[endpoint(tags("orgs"))]
async fn show(org: InOrg<OrgRead>, depot: &mut Depot) -> Result<Json<Org>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).await?;
    let org = Org::of(&mut tx).await?;
    tx.commit().await?;
    Ok(Json(org))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrgChange {
    #[serde(default, deserialize_with = "fields::present")]
    #[salvo(schema(value_type = Name, required = false))]
    name: Option<Name>,
}

/// Renames an org.
#[endpoint(tags("orgs"))]
async fn update(
    org: InOrg<OrgUpdate>,
    change: Body<OrgChange>,
    depot: &mut Depot,
) -> Result<Json<Org>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
    if let Some(name) = change.0.name {
        Tenant::rename(&mut tx, name.as_str()).await?;
    }
    let org = Org::of(&mut tx).await?;
    tx.commit().await?;
    Ok(Json(org))
}

/// Deletes an org and everything in it. Its subscription is cancelled at Stripe soon after.
#[endpoint(tags("orgs"))]
async fn delete(org: InOrg<OrgDelete>, depot: &mut Depot) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
    Tenant::delete(&mut tx).await?;
    tx.commit().await?;
    Ok(NoContent)
}
