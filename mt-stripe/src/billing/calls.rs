//! Calls to Stripe on behalf of an org: the customer that pays for it, and the pages that are made for it.
//!
//! No lock waits for Stripe: it is called between two transactions. The first one commits the call's idempotency
//! key and the second one keeps what was made, so that neither a failure sticks nor anything is made twice
//! ([`mt_core::pg::billing::call`]).

use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::id::TenantId;
use mt_core::pg::billing::call::{self, Call};
use mt_core::pg::billing::{customer_of, link, wake};
use mt_core::pg::{PgError, SystemReason, TenantTx, billing};
use mt_stripe::client::{Refusal, StripeClient, StripeError, StripeRequest};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::billing::{Billing, MadeCustomer, NoStripe, PROVIDER, ShownCustomer};
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::model::{BillingManage, BillingRead, Plan};

const WAKE: SystemReason = SystemReason::new("wake the events of a customer that was linked");
const FORGET: SystemReason = SystemReason::new("forget a customer that Stripe knows no more");

/// How long a call that is under way under the same key is waited for: doubled each time.
const UNDER_WAY: Duration = Duration::from_millis(250);
const TRIES: u32 = 4;

/// The request of a caller to manage the org's billing. Each transaction decides on it.
type Manager = AccessRequest<BillingManage>;

/// The customer that pays for an org.
pub(super) struct Payer {
    /// The customer that is linked to it.
    pub(super) customer: String,
    /// The org's plan.
    pub(super) plan: Plan,
}

/// The purpose of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// To buy a plan, which an org that has bought one may not do again.
    Buying,
    /// Anything else.
    Managing,
}

/// The customer who pays for the org: the one that is linked, or one that is made and linked now.
pub(super) async fn payer(
    app: &App,
    manager: Manager,
    purpose: Purpose,
) -> Result<Payer, ApiError> {
    let mut tx = app.tenants.begin(manager).await?;
    let stripe = app.billing.stripe()?;
    if purpose == Purpose::Buying && tx.access().plan() != Plan::Free {
        let portal = format!("/orgs/{}/billing/portal", tx.tenant());
        tx.rollback().await?;
        return Err(problems::ALREADY_SUBSCRIBED.problem().with_member("portal", portal).into());
    }
    let mut known = customer_of::<BillingRead, _, _>(&mut tx, PROVIDER).await?;
    let (org, plan) = (tx.tenant(), tx.access().plan());
    let mut to_make = None;
    if let (None, Some(stripe)) = (&known, stripe) {
        let request = Billing::customer_request(org);
        let call = begin(&mut tx, &request).await?;
        // Another process may have linked one, and ended its call, since the first look. If it has not ended
        // its call, this one has the same key.
        known = customer_of::<BillingRead, _, _>(&mut tx, PROVIDER).await?;
        match known {
            Some(_) => call::end(&mut tx, &call).await?,
            None => to_make = Some((stripe, request, call)),
        }
    }
    tx.commit().await?;
    let customer = match (known, to_make) {
        (Some(customer), _) => customer,
        (None, None) => link_to(app, manager, &Billing::simulated_customer(org), None).await?,
        (None, Some((stripe, request, call))) => {
            let answer = send::<MadeCustomer>(app, stripe, manager, &request, &call).await?;
            let made = answer.map_err(|error| refusal(&error))?;
            link_to(app, manager, &made.id, Some(&call)).await?
        }
    };
    // Also for a link that was there: the process that made it may have been killed before this.
    let mut tx = app.system.begin(WAKE).await?;
    wake(&mut tx, PROVIDER, &customer).await?;
    tx.commit().await?;
    app.billing.ledger().wake_workers();
    Ok(Payer { customer, plan })
}

async fn link_to(
    app: &App,
    manager: Manager,
    made: &str,
    call: Option<&Call>,
) -> Result<String, ApiError> {
    let mut tx = app.tenants.begin(manager).exclusive().await?;
    let linked = link(&mut tx, PROVIDER, made).await?;
    if let Some(call) = call {
        call::end(&mut tx, call).await?;
    }
    tx.commit().await?;
    Ok(linked)
}

/// A page that Stripe has made for an org.
pub(super) struct Opened<T> {
    /// The page.
    pub(super) page: T,
    /// The customer that it was made for.
    pub(super) customer: String,
    /// To be ended in the transaction that keeps the page.
    pub(super) call: Call,
}

/// Has Stripe make a page for `payer`. Where Stripe knows the customer no more, that one is forgotten, and the page
/// is made for a new one.
pub(super) async fn open<T: DeserializeOwned>(
    app: &App,
    stripe: &StripeClient,
    manager: Manager,
    payer: Payer,
    request: impl Fn(TenantId, &str) -> StripeRequest,
) -> Result<Opened<T>, ApiError> {
    let (mut payer, mut is_first) = (payer, true);
    loop {
        let Payer { customer, plan } = payer;
        let request = request(manager.tenant(), &customer);
        let mut tx = app.tenants.begin(manager).await?;
        let call = begin(&mut tx, &request).await?;
        tx.commit().await?;
        match send(app, stripe, manager, &request, &call).await? {
            Ok(page) => return Ok(Opened { page, customer, call }),
            Err(error) if is_first && error.is_missing(Some("customer")) => {
                is_first = false;
                forget(app, stripe, &customer, plan).await?;
                payer = self::payer(app, manager, Purpose::Managing).await?;
            }
            Err(error) => return Err(refusal(&error)),
        }
    }
}

async fn begin(tx: &mut TenantTx<BillingManage>, request: &StripeRequest) -> Result<Call, PgError> {
    call::begin(tx, PROVIDER, request.operation(), &request.text()).await
}

/// Makes a call whose key is committed. An answer with an error status ends it.
async fn send<T: DeserializeOwned>(
    app: &App,
    stripe: &StripeClient,
    manager: Manager,
    request: &StripeRequest,
    call: &Call,
) -> Result<Result<T, StripeError>, ApiError> {
    let mut answer = stripe.post(request, call.key()).await;
    for tried in 1..TRIES {
        if !answer.as_ref().is_err_and(StripeError::is_under_way) {
            break;
        }
        tokio::time::sleep(UNDER_WAY * 2_u32.pow(tried - 1)).await;
        answer = stripe.post(request, call.key()).await;
    }
    if answer.as_ref().is_err_and(StripeError::is_answer) {
        let mut tx = app.tenants.begin(manager).await?;
        call::end(&mut tx, call).await?;
        tx.commit().await?;
    }
    Ok(answer)
}

/// Unlinks a customer that Stripe does not know. An org with a plan that costs something loses it by that, so then
/// Stripe has to say that the customer was deleted: a key of another account knows no customer at all.
async fn forget(
    app: &App,
    stripe: &StripeClient,
    customer: &str,
    plan: Plan,
) -> Result<(), ApiError> {
    if plan != Plan::Free {
        let shown: ShownCustomer =
            stripe.get(&["customers", customer]).await.map_err(|error| refusal(&error))?;
        if !shown.deleted {
            tracing::error!(customer, "stripe shows a customer and refuses it for a page");
            return Err(ApiError::new(&problems::BILLING_MISCONFIGURED));
        }
    }
    tracing::warn!(customer, "stripe knows the customer of an org no more: it is unlinked");
    let mut tx = app.system.begin(FORGET).await?;
    billing::forget(&mut tx, PROVIDER, customer, app.billing.prices()).await?;
    Ok(tx.commit().await?)
}

impl From<NoStripe> for ApiError {
    fn from(error: NoStripe) -> Self {
        tracing::warn!("{error}");
        Self::new(&problems::BILLING_MISCONFIGURED)
    }
}

/// What a client is told of a call that came to nothing; the log is told why, once.
fn refusal(error: &StripeError) -> ApiError {
    if let Some(Refusal { status, kind, code, param, request_id, .. }) = error.lasting() {
        tracing::error!(
            status,
            kind,
            code,
            param,
            stripe_request = request_id,
            "stripe refuses what the settings make the server ask: `mt-server doctor` checks them",
        );
        return ApiError::new(&problems::BILLING_MISCONFIGURED);
    }
    tracing::warn!(cause = std::error::Error::source(error), "{error}");
    ApiError::new(&problems::UNAVAILABLE)
}
