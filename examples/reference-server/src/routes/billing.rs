//! An org's subscription, and the customer that pays for it.

use chrono::{DateTime, Utc};
use mt_core::access::Grant;
use mt_core::billing::Standing;
use mt_core::pg::SystemReason;
use mt_stripe::checkout;
use mt_stripe::link::{self, LinkError};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use crate::app::App;
use crate::billing::StripeApiError;
use crate::http::answer::{Created, Made};
use crate::http::authorized::Authorized;
use crate::http::problem::ApiError;
use crate::http::problems::{self, Conflict};
use crate::http::words::Said;
use crate::model::{BillingManage, BillingRead, Plan};
use crate::product::Subscription;

const WAKE: SystemReason = SystemReason::new("wake the events of a customer that was linked");

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
#[endpoint(tags("billing"), responses(Conflict))]
async fn make_customer(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Customer>, ApiError> {
    let (customer_id, _grant) = customer(&App::of(depot), grant.0).await?;
    Ok(Json(Customer { customer_id }))
}

#[derive(Serialize, ToSchema)]
struct Session {
    session_id: String,
    url: String,
}

impl Made for Session {}

/// Makes a page to buy on.
#[endpoint(tags("billing"), responses(Conflict))]
async fn open_checkout(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Created<Session>, ApiError> {
    let app = App::of(depot);
    let (customer, grant) = customer(&app, grant.0).await?;
    let page = app
        .billing
        .open_checkout(grant.tenant(), &customer)
        .await
        .map_err(|error| unavailable(&error))?;
    // Noted before anybody is sent there.
    let mut tx = app.tenants.begin(grant).await?;
    checkout::note(&mut tx, &page.id).await?;
    let location = format!("/orgs/{}/billing", tx.tenant());
    tx.commit().await?;
    Ok(Created::new(&location, &Session { session_id: page.id, url: page.url }))
}

#[derive(Serialize, ToSchema)]
struct Portal {
    url: String,
}

/// Makes a page on which what was bought is looked after.
#[endpoint(tags("billing"), responses(Conflict))]
async fn open_portal(
    grant: Authorized<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Portal>, ApiError> {
    let app = App::of(depot);
    let (customer, grant) = customer(&app, grant.0).await?;
    let url = app
        .billing
        .open_portal(grant.tenant(), &customer)
        .await
        .map_err(|error| unavailable(&error))?;
    Ok(Json(Portal { url }))
}

/// The customer who pays for the org: the one that is linked, or one that is made and linked now. Stripe is
/// asked between two transactions, so that no lock waits for it; the grant comes back for what is next.
async fn customer(
    app: &App,
    grant: Grant<BillingManage>,
) -> Result<(String, Grant<BillingManage>), ApiError> {
    let mut tx = app.tenants.begin(grant).await?;
    let known = link::customer_of::<BillingRead, _, _>(&mut tx).await?;
    let org = tx.tenant();
    let mut again = tx.access().authorize::<BillingManage>()?;
    tx.commit().await?;
    let customer_id = match known {
        Some(customer) => customer,
        None => {
            let made = app.billing.make_customer(org).await.map_err(|error| unavailable(&error))?;
            let mut tx = app.tenants.begin_exclusive(again).await?;
            let linked = link::link(&mut tx, &made).await?;
            again = tx.access().authorize::<BillingManage>()?;
            tx.commit().await?;
            linked
        }
    };
    // Also for a link that was there: whoever made it may have been stopped before this.
    let mut tx = app.system.begin(WAKE).await?;
    link::wake(&mut tx, &customer_id).await?;
    tx.commit().await?;
    app.billing.processor().ledger().nudge();
    Ok((customer_id, again))
}

fn unavailable(error: &StripeApiError) -> ApiError {
    tracing::error!(cause = std::error::Error::source(error), "{error}");
    ApiError::new(&problems::UNAVAILABLE)
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
