//! An org's subscription, and the customer that pays for it.

mod calls;

use chrono::{DateTime, Utc};
use mt_core::billing::Standing;
use mt_stripe::link::LinkError;
use mt_stripe::{call, checkout};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use self::calls::{Opened, Purpose};
use crate::app::App;
use crate::billing::{CheckoutPage, PortalPage};
use crate::http::answer::{Created, Made};
use crate::http::authorized::Authorized;
use crate::http::problem::ApiError;
use crate::http::problems::{self, AlreadySubscribed, BillingMisconfigured, Conflict};
use crate::http::words::Said;
use crate::model::{BillingManage, BillingRead, Plan};
use crate::product::Subscription;

pub(super) fn routes() -> Router {
    Router::with_path("billing")
        .get(show)
        .push(Router::with_path("customer").post(make_customer))
        .push(Router::with_path("checkout").post(open_checkout))
        .push(Router::with_path("portal").post(open_portal))
}

#[derive(Serialize, ToSchema)]
struct BillingView {
    plan: Said<Plan>,
    subscription_status: String,
    standing: Said<Standing>,
    #[salvo(schema(required = true))]
    current_period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    #[salvo(schema(required = true))]
    past_due_since: Option<DateTime<Utc>>,
    #[salvo(schema(required = true))]
    customer_id: Option<String>,
}

/// Shows the org's subscription.
#[endpoint(tags("billing"))]
async fn show(
    grant: Authorized<BillingRead>,
    depot: &mut Depot,
) -> Result<Json<BillingView>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(grant.0).await?;
    let subscription = Subscription::load(&mut tx).await?;
    let view = BillingView {
        plan: Said(tx.access().plan()),
        subscription_status: subscription.subscription_status,
        standing: Said(tx.access().standing()),
        current_period_end: subscription.current_period_end,
        cancel_at_period_end: subscription.cancel_at_period_end,
        past_due_since: subscription.past_due_since,
        customer_id: subscription.customer_id,
    };
    tx.commit().await?;
    Ok(Json(view))
}

#[derive(Serialize, ToSchema)]
struct Customer {
    customer_id: String,
}

/// Makes the customer that pays for the org, once.
#[endpoint(tags("billing"), responses(Conflict, BillingMisconfigured))]
async fn make_customer(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Customer>, ApiError> {
    let payer = calls::payer(&App::of(depot), grant.0, Purpose::Managing).await?;
    Ok(Json(Customer { customer_id: payer.customer }))
}

#[derive(Serialize, ToSchema)]
struct Session {
    session_id: String,
    url: String,
}

impl Made for Session {}

/// Makes a page to buy on.
///
/// Refused while the org is on a plan that costs something: whoever wants another one, or has to pay, does that
/// on the page that `portal` leads to, and does not subscribe twice.
#[endpoint(tags("billing"), responses(AlreadySubscribed, Conflict, BillingMisconfigured))]
async fn open_checkout(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Created<Session>, ApiError> {
    let app = App::of(depot);
    let payer = calls::payer(&app, grant.0, Purpose::Buying).await?;
    let (page, call, grant) = match app.billing.stripe() {
        None => (app.billing.simulated_checkout(), None, payer.grant),
        Some(stripe) => {
            let request = |org, customer: &str| app.billing.checkout_request(org, customer);
            let Opened { page, call, grant } =
                calls::open::<CheckoutPage>(&app, stripe, payer, request).await?;
            (page, Some(call), grant)
        }
    };
    // Noted before anybody is sent there.
    let mut tx = app.tenants.begin(grant).await?;
    checkout::note(&mut tx, &page.id).await?;
    if let Some(call) = call {
        call::end::<BillingManage, _>(&mut tx, &call).await?;
    }
    let location = format!("/orgs/{}/billing", tx.tenant());
    tx.commit().await?;
    Ok(Created::new(&location, &Session { session_id: page.id, url: page.url }))
}

#[derive(Serialize, ToSchema)]
struct Portal {
    url: String,
}

/// Makes a page on which what was bought is looked after.
#[endpoint(tags("billing"), responses(Conflict, BillingMisconfigured))]
async fn open_portal(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Portal>, ApiError> {
    let app = App::of(depot);
    let payer = calls::payer(&app, grant.0, Purpose::Managing).await?;
    let Some(stripe) = app.billing.stripe() else {
        let PortalPage { url } = app.billing.simulated_portal(payer.grant.tenant());
        return Ok(Json(Portal { url }));
    };
    let request = |org, customer: &str| app.billing.portal_request(org, customer);
    let Opened { page: PortalPage { url }, call, grant } =
        calls::open(&app, stripe, payer, request).await?;
    let mut tx = app.tenants.begin(grant).await?;
    call::end::<BillingManage, _>(&mut tx, &call).await?;
    tx.commit().await?;
    Ok(Json(Portal { url }))
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Pg(error) => error.into(),
            LinkError::Taken => {
                Self::new(&problems::CONFLICT).detail("the customer pays for another org")
            }
            other => crate::refusals::internal(&other),
        }
    }
}
