//! Orgs: what the library calls tenants.

use chrono::{DateTime, Utc};
use mt_core::access::{Access, Denied, Permission, Suspension};
use mt_core::billing::Standing;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, SystemReason, Tenant, TenantSummary, TenantTx};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::once::Once;
use crate::app::App;
use crate::http::answer::{Created, Made, NoContent};
use crate::http::authorized::{Authorized, Caller};
use crate::http::fields::{self, Name};
use crate::http::json::Body;
use crate::http::page::{Listing, PageQuery};
use crate::http::problem::ApiError;
use crate::http::words::Said;
use crate::model::{OrgDelete, OrgRead, OrgUpdate, Plan, Product, Role};
use crate::product::{Overview, Usage};

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
    role: Said<Role>,
    plan: Said<Plan>,
    subscription_status: String,
    standing: Said<Standing>,
    suspension: Said<Suspension>,
    /// Of an org that is wholly suspended nothing more is read.
    #[salvo(schema(required = true))]
    usage: Option<Usage>,
    created_at: DateTime<Utc>,
}

impl Made for Org {}

impl Org {
    async fn of<P>(tx: &mut TenantTx<P>) -> Result<Self, ApiError>
    where
        P: Permission<Model = Product> + mt_core::access::Implies<OrgRead>,
    {
        let Overview { name, subscription_status, created_at, usage } = Overview::load(tx).await?;
        let access = tx.access();
        Ok(Self {
            id: access.tenant().as_uuid(),
            name,
            role: Said(access.role()),
            plan: Said(access.plan()),
            subscription_status,
            standing: Said(access.standing()),
            suspension: Said(access.suspension()),
            usage: Some(usage),
            created_at,
        })
    }

    /// What its member's list knows of an org that no transaction may be opened in.
    fn suspended(summary: TenantSummary, access: &Access<Product>) -> Self {
        let TenantSummary { tenant, role: _ } = summary;
        Self {
            id: tenant.id.as_uuid(),
            name: tenant.name,
            role: Said(access.role()),
            plan: Said(access.plan()),
            subscription_status: tenant.subscription_status.to_string(),
            standing: Said(access.standing()),
            suspension: Said(Suspension::Full),
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

/// Makes an org, with the caller as its owner.
#[endpoint(tags("orgs"))]
async fn create(
    caller: Caller,
    once: Once<NewOrg>,
    depot: &mut Depot,
) -> Result<Created<Org>, ApiError> {
    let (app, caller) = (App::of(depot), caller.0);
    let mut tx = app.system.begin_for(caller, CREATE).await?;
    if let Some(earlier) = once.earlier_of(&mut tx, caller).await? {
        return Ok(earlier);
    }
    let tenant = Tenant::create::<Product>(&mut tx, once.body.name.as_str(), caller.id()).await?;
    let plan = Plan::Free;
    let org = Org {
        id: tenant.id.as_uuid(),
        name: tenant.name,
        role: Said(Role::Owner),
        plan: Said(plan),
        subscription_status: tenant.subscription_status.to_string(),
        standing: Said(Standing::Good),
        suspension: Said(tenant.suspension),
        usage: Some(Usage::of_new(plan)),
        created_at: tenant.created_at,
    };
    let created = Created::new(&format!("/orgs/{}", tenant.id), &org);
    once.keep_of(&mut tx, caller, &created).await?;
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
    // What is in each is counted in a transaction of that org: row-level security shows one at a time.
    let (app, principal) = (App::of(depot), caller.0);
    let page = page.of(&app.cursors, &format!("orgs:{}", principal.id()))?;
    let mut tx = app.principals.begin(principal).await?;
    let before = page.after().map(TenantId::from_uuid);
    let summaries = Tenant::of_principal(&mut tx, before, page.fetch()).await?;
    tx.commit().await?;
    let listing = page.answer(summaries, |summary| summary.tenant.id.as_uuid());

    let mut items = Vec::with_capacity(listing.items.len());
    for summary in listing.items {
        let access = match app.tenants.look(principal, summary.tenant.id).await {
            Ok(access) => access,
            // Left, removed or deleted since the list was read.
            Err(mt_core::access::AccessError::NotAMember) => continue,
            Err(error) => return Err(error.into()),
        };
        let opened = match access.authorize::<OrgRead>() {
            Ok(grant) => app.tenants.begin(grant).await,
            Err(denied) => Err(denied.into()),
        };
        match opened {
            Ok(mut tx) => {
                items.push(Org::of(&mut tx).await?);
                tx.commit().await?;
            }
            // It answers nothing at its own address, and is still one of the caller's.
            Err(BeginError::Denied(Denied::Suspended)) => {
                items.push(Org::suspended(summary, &access));
            }
            Err(BeginError::NotAMember) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Listing { items, next_cursor: listing.next_cursor })
}

/// Shows an org.
#[endpoint(tags("orgs"))]
async fn show(grant: Authorized<OrgRead>, depot: &mut Depot) -> Result<Json<Org>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(grant.0).await?;
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
    grant: Authorized<OrgUpdate>,
    change: Body<OrgChange>,
    depot: &mut Depot,
) -> Result<Json<Org>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(grant.0).await?;
    if let Some(name) = change.0.name {
        Tenant::rename(&mut tx, name.as_str()).await?;
    }
    let org = Org::of(&mut tx).await?;
    tx.commit().await?;
    Ok(Json(org))
}

/// Deletes an org and everything in it.
#[endpoint(tags("orgs"))]
async fn delete(grant: Authorized<OrgDelete>, depot: &mut Depot) -> Result<NoContent, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin_exclusive(grant.0).await?;
    Tenant::delete(&mut tx).await?;
    tx.commit().await?;
    Ok(NoContent)
}
