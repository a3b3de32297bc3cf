//! An org's subscription, and the customer that pays for it.

#[path = "../../../../mt-stripe/src/billing/calls.rs"]
mod calls;

use chrono::{DateTime, Utc};
use mt_core::billing::Standing;
use mt_core::pg::billing::{LinkError, call, checkout};
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use self::calls::{Opened, Purpose};
use crate::app::App;
use crate::billing::{CheckoutPage, PROVIDER, PortalPage};
use crate::http::answer::{Created, Made};
use crate::http::caller::InOrg;
use crate::http::problem::ApiError;
use crate::http::problems::{self, AlreadySubscribed, BillingMisconfigured, Conflict};
use crate::http::text_enum::AsText;
use crate::layers::Layers;
use crate::model::{BillingManage, BillingRead, Plan};
use crate::product::Subscription;

pub(super) fn routes(layers: &Layers) -> Router {
    let asking_stripe = Router::new()
        .hoop(layers.limit_billing())
        .push(Router::with_path("customer").post(make_customer))
        .push(Router::with_path("checkout").post(open_checkout))
        .push(Router::with_path("portal").post(open_portal));
    Router::with_path("billing").get(show).push(asking_stripe)
}

#[derive(Serialize, ToSchema)]
struct BillingView {
    plan: AsText<Plan>,
    subscription_status: String,
    standing: AsText<Standing>,
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
async fn show(org: InOrg<BillingRead>, depot: &mut Depot) -> Result<Json<BillingView>, ApiError> {
    let app = App::of(depot);
    let mut tx = app.tenants.begin(org.0).await?;
    let subscription = Subscription::load(&mut tx).await?;
    let view = BillingView {
        plan: AsText(tx.access().plan()),
        subscription_status: subscription.subscription_status,
        standing: AsText(tx.access().standing()),
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

/// Creates the Stripe customer of the org, unless it has one.
#[endpoint(tags("billing"), responses(Conflict, BillingMisconfigured))]
async fn make_customer(
    org: InOrg<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Customer>, ApiError> {
    let payer = calls::payer(&App::of(depot), org.0, Purpose::Managing).await?;
    Ok(Json(Customer { customer_id: payer.customer }))
}

#[derive(Serialize, ToSchema)]
struct Session {
    session_id: String,
    url: String,
}

impl Made for Session {}

/// Opens a checkout page. A page that was opened within the last minute and is not completed is returned again.
///
/// Refused while the org has a paid plan: the customer portal, at the path `portal`, changes or pays the
/// subscription that it has.
#[endpoint(tags("billing"), responses(AlreadySubscribed, Conflict, BillingMisconfigured))]
async fn open_checkout(
    org: InOrg<BillingManage>,
    depot: &mut Depot,
) -> Result<Created<Session>, ApiError> {
    let app = App::of(depot);
    let payer = calls::payer(&app, org.0, Purpose::Buying).await?;
    let location = format!("/orgs/{}/billing", org.0.tenant());
    // Exclusive, so that of several requests at once the first one makes the session for all.
    let mut tx = app.tenants.begin(org.0).exclusive().await?;
    let session = match (
        checkout::recent::<BillingRead, _, _>(&mut tx, PROVIDER, &payer.customer).await?,
        app.billing.stripe()?,
    ) {
        (Some(session), _) => {
            tx.rollback().await?;
            session
        }
        (None, None) => {
            let session = app.billing.simulated_checkout();
            checkout::record(&mut tx, PROVIDER, &payer.customer, &session).await?;
            tx.commit().await?;
            session
        }
        (None, Some(stripe)) => {
            tx.rollback().await?;
            let request = |org, customer: &str| app.billing.checkout_request(org, customer);
            let Opened { page: CheckoutPage { id, url }, customer, call } =
                calls::open(&app, stripe, org.0, payer, request).await?;
            let session = checkout::Session { id, url };
            // Recorded before a buyer is sent there.
            let mut tx = app.tenants.begin(org.0).await?;
            checkout::record(&mut tx, PROVIDER, &customer, &session).await?;
            call::end::<BillingManage, _>(&mut tx, &call).await?;
            tx.commit().await?;
            session
        }
    };
    Ok(Created::new(&location, &Session { session_id: session.id, url: session.url }))
}

#[derive(Serialize, ToSchema)]
struct Portal {
    url: String,
}

/// Opens the customer portal, where the subscription is changed, paid or ended.
#[endpoint(tags("billing"), responses(Conflict, BillingMisconfigured))]
async fn open_portal(
    org: InOrg<BillingManage>,
    depot: &mut Depot,
) -> Result<Json<Portal>, ApiError> {
    let app = App::of(depot);
    let payer = calls::payer(&app, org.0, Purpose::Managing).await?;
    let Some(stripe) = app.billing.stripe()? else {
        let PortalPage { url } = app.billing.simulated_portal(org.0.tenant());
        return Ok(Json(Portal { url }));
    };
    let request = |org, customer: &str| app.billing.portal_request(org, customer);
    let Opened { page: PortalPage { url }, call, customer: _ } =
        calls::open(&app, stripe, org.0, payer, request).await?;
    let mut tx = app.tenants.begin(org.0).await?;
    call::end::<BillingManage, _>(&mut tx, &call).await?;
    tx.commit().await?;
    Ok(Json(Portal { url }))
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Pg(error) => error.into(),
            LinkError::Taken => {
                problems::CONFLICT.problem().with_detail("the customer pays for another org").into()
            }
            other => crate::refusals::internal(&other),
        }
    }
}
