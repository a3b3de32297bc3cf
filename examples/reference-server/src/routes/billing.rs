//! An org's subscription, and the customer that pays for it.

use chrono::{DateTime, Utc};
use mt_core::billing::Standing;
use mt_core::pg::billing::LinkError;
use mt_stripe::billing::BillingError;
use mt_stripe::client::Refusal;
use salvo::prelude::*;
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use crate::app::App;
use crate::billing::NO_STRIPE_KEY;
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
    let app = App::of(depot);
    let customer_id = app.billing.customer::<BillingRead, _>(&app.tenants, org.0).await?;
    Ok(Json(Customer { customer_id }))
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
    let location = format!("/orgs/{}/billing", org.0.tenant());
    let session = app.billing.checkout::<BillingRead, _>(&app.tenants, org.0).await?;
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
    let url = app.billing.portal::<BillingRead, _>(&app.tenants, org.0).await?;
    Ok(Json(Portal { url }))
}

/// What a client is told of a call that came to nothing; the log is told why, once.
impl From<BillingError> for ApiError {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::AlreadySubscribed(org) => {
                let portal = format!("/orgs/{org}/billing/portal");
                problems::ALREADY_SUBSCRIBED.problem().with_member("portal", portal).into()
            }
            BillingError::NoKey => {
                tracing::warn!("{NO_STRIPE_KEY}");
                Self::new(&problems::BILLING_MISCONFIGURED)
            }
            BillingError::Refused(refusal) => {
                let Refusal { status, kind, code, param, request_id, .. } = *refusal;
                tracing::error!(
                    status,
                    kind,
                    code,
                    param,
                    stripe_request = request_id,
                    "stripe refuses what the settings make the server ask: `mt-server doctor` checks them",
                );
                Self::new(&problems::BILLING_MISCONFIGURED)
            }
            BillingError::CustomerRefused(customer) => {
                tracing::error!(customer, "stripe shows a customer and refuses it for a page");
                Self::new(&problems::BILLING_MISCONFIGURED)
            }
            BillingError::Unavailable(error) => {
                tracing::warn!(cause = std::error::Error::source(&error), "{error}");
                Self::new(&problems::UNAVAILABLE)
            }
            BillingError::Link(LinkError::Taken) => {
                problems::CONFLICT.problem().with_detail("the customer pays for another org").into()
            }
            BillingError::Link(LinkError::Pg(error)) | BillingError::Pg(error) => error.into(),
            BillingError::Begin(error) => error.into(),
            other => crate::refusals::internal(&other),
        }
    }
}
