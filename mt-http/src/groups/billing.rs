//! A tenant's subscription, and the customer that pays for it.

use std::error::Error as _;

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use mt_core::access::{AccessModel, Implies, Permission, Reads, Writes};
use mt_core::billing::Standing;
use mt_core::pg::billing::{LinkError, Subscription};
use mt_core::text_enum::TextEnum as _;
use mt_stripe::billing::BillingError;
use mt_stripe::client::Refusal as StripeRefusal;
use mt_tower::problem::Problem;
use serde::Serialize;

use crate::Noun;
use crate::answer::{Answer, Object, created, json};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, Schema, boolean, date_time, nullable, text, words};
use crate::operation::{Operation, Requirement};
use crate::pages::{self, BILLING_PATH};
use crate::problems::conflict;
use crate::refusal::Refusal;

/// A tenant's subscription: `GET …/billing`, `POST …/billing/customer`, `…/checkout` and `…/portal`, and the page
/// `GET /billing` to which Stripe's pages return. It needs [`EndpointOptions::stripe`](crate::EndpointOptions::stripe).
#[derive(Clone, Copy, Debug)]
pub struct Billing<R, P> {
    /// The permission to read the state of the subscription.
    pub read: R,
    /// The permission to buy, change and end it.
    pub manage: P,
}

impl<M, R, P> Group<M> for Billing<R, P>
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
    P: Permission<Model = M, Effect = Writes> + Implies<R>,
{
    fn operations(self, noun: Noun) -> Operations<M> {
        let path = format!("{}/billing", noun.item_path());
        let word = noun.one();
        let about =
            |id: &str, text: String| Description::new(format!("billing.{id}"), "billing", text);
        let page = pages::billing(noun);
        let may = ["conflict", "billing-misconfigured"];
        let session = Schema::new("Session").with("session_id", text()).with("url", text());
        let buying = format!(
            "Opens a checkout page. A page that was opened within the last minute and is not completed is returned again.\n\n\
             Refused while the {word} has a paid plan: the customer portal, at the path `portal`, changes or pays the \
             subscription that it has."
        );
        Operations(vec![
            Operation::new(
                Method::GET,
                path.clone(),
                about("show", format!("Shows the {word}'s subscription.")).gives(
                    200,
                    "The subscription.",
                    state::<M>(),
                ),
                |call| Box::pin(show::<M, R>(call)),
            )
            .needs::<R>(),
            Operation::new(
                Method::POST,
                format!("{path}/customer"),
                about(
                    "make_customer",
                    format!("Creates the Stripe customer of the {word}, unless it has one."),
                )
                .gives(200, "The customer.", Schema::new("Customer").with("customer_id", text()))
                .may(&may),
                |call| Box::pin(make_customer::<M, R, P>(call)),
            )
            .with(Requirement::Stripe)
            .behind(Guarded::CallProvider)
            .needs::<P>(),
            Operation::new(
                Method::POST,
                format!("{path}/checkout"),
                about("open_checkout", buying)
                    .creates(session)
                    .may(&may)
                    .may(&["already-subscribed"]),
                |call| Box::pin(open_checkout::<M, R, P>(call)),
            )
            .with(Requirement::Stripe)
            .behind(Guarded::CallProvider)
            .needs::<P>(),
            Operation::new(
                Method::POST,
                format!("{path}/portal"),
                about(
                    "open_portal",
                    "Opens the customer portal, where the subscription is changed, paid or ended."
                        .to_owned(),
                )
                .gives(200, "The portal.", Schema::new("Portal").with("url", text()))
                .may(&may),
                |call| Box::pin(open_portal::<M, R, P>(call)),
            )
            .with(Requirement::Stripe)
            .behind(Guarded::CallProvider)
            .needs::<P>(),
            Operation::new(
                Method::GET,
                BILLING_PATH,
                about(
                    "page",
                    format!(
                        "The billing page of {} {word}, for an owner who signs in on it.",
                        noun.article()
                    ),
                )
                .gives_page(),
                move |call| {
                    let page = call.context.options.billing_page.as_ref().unwrap_or(&page);
                    let response = page.to_response();
                    Box::pin(async move { Ok(response) })
                },
            ),
        ])
    }
}

fn state<M: AccessModel>() -> Schema {
    Schema::new("Billing")
        .with("plan", words::<M::Plan>())
        .with("subscription_status", text())
        .with("standing", words::<Standing>())
        .with("current_period_end", nullable(date_time()))
        .with("cancel_at_period_end", boolean())
        .with("past_due_since", nullable(date_time()))
        .with("customer_id", nullable(text()))
}

#[derive(Serialize)]
struct StateView {
    plan: &'static str,
    subscription_status: String,
    standing: &'static str,
    current_period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    past_due_since: Option<DateTime<Utc>>,
    customer_id: Option<String>,
}

async fn show<M: AccessModel, R: Permission<Model = M, Effect = Reads>>(
    call: Call<'_, M>,
) -> Answer {
    let request = call.access::<R>()?;
    let mut tx = call.context.tenants.begin(request).await?;
    let subscription = Subscription::load::<R, _, _>(&mut tx, mt_stripe::PROVIDER).await?;
    let view = StateView {
        plan: tx.access().plan().as_str(),
        subscription_status: subscription.subscription_status,
        standing: tx.access().standing().as_str(),
        current_period_end: subscription.current_period_end,
        cancel_at_period_end: subscription.cancel_at_period_end,
        past_due_since: subscription.past_due_since,
        customer_id: subscription.customer_id,
    };
    tx.commit().await?;
    Ok(json(&view))
}

async fn make_customer<M, R, P>(call: Call<'_, M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
    P: Permission<Model = M, Effect = Writes> + Implies<R>,
{
    let request = call.access::<P>()?;
    let made = call.stripe()?.customer::<R, P>(&call.context.tenants, request).await;
    let customer = made.map_err(|error| refused(error, call.context.noun))?;
    Ok(json(&Object::new().with("customer_id", customer)))
}

async fn open_checkout<M, R, P>(call: Call<'_, M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
    P: Permission<Model = M, Effect = Writes> + Implies<R>,
{
    let (request, noun) = (call.access::<P>()?, call.context.noun);
    let opened = call.stripe()?.checkout::<R, P>(&call.context.tenants, request).await;
    let session = opened.map_err(|error| refused(error, noun))?;
    let location = format!("{}/{}/billing", noun.list_path(), request.tenant());
    let answer = Object::new().with("session_id", session.id).with("url", session.url);
    Ok(created(&location, &answer))
}

async fn open_portal<M, R, P>(call: Call<'_, M>) -> Answer
where
    M: AccessModel,
    R: Permission<Model = M, Effect = Reads>,
    P: Permission<Model = M, Effect = Writes> + Implies<R>,
{
    let request = call.access::<P>()?;
    let opened = call.stripe()?.portal::<R, P>(&call.context.tenants, request).await;
    let url = opened.map_err(|error| refused(error, call.context.noun))?;
    Ok(json(&Object::new().with("url", url)))
}

/// What a client is told of a call that came to nothing; the log is told why, once.
fn refused(error: BillingError, noun: Noun) -> Refusal {
    match error {
        BillingError::AlreadySubscribed(tenant) => {
            let portal = format!("{}/{tenant}/billing/portal", noun.list_path());
            let title = "There is a subscription already";
            let problem = Problem::new(StatusCode::CONFLICT, "already-subscribed", title);
            problem.with_member("portal", portal).into()
        }
        BillingError::NoKey => {
            tracing::warn!(
                "stripe has no key: tenants cannot buy, and calls answer `billing-misconfigured`"
            );
            misconfigured()
        }
        BillingError::Refused(refusal) => {
            let StripeRefusal { status, kind, code, param, request_id, .. } = *refusal;
            tracing::error!(
                status,
                kind,
                code,
                param,
                stripe_request = request_id,
                "stripe refuses what the settings make the server ask: the key, the price or the portal",
            );
            misconfigured()
        }
        BillingError::CustomerRefused(customer) => {
            tracing::error!(customer, "stripe shows a customer and refuses it for a page");
            misconfigured()
        }
        BillingError::Unavailable(error) => {
            tracing::warn!(cause = error.source(), "{error}");
            Problem::unavailable().into()
        }
        BillingError::Link(LinkError::Taken) => {
            conflict(format!("the customer pays for another {}", noun.one())).into()
        }
        BillingError::Link(LinkError::Pg(error)) | BillingError::Pg(error) => error.into(),
        BillingError::Begin(error) => error.into(),
        other => Problem::internal(&other).into(),
    }
}

fn misconfigured() -> Refusal {
    let title = "Billing is not set up as it should be";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "billing-misconfigured", title).into()
}
