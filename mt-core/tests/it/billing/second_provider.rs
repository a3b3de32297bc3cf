//! A payment provider in as little as it takes: one subscription per customer, and a sequence number on each event.

use mt_core::billing::{
    InvoiceSnapshot, PriceTable, Purchases, SubscriptionSnapshot, SubscriptionStatus,
};
use mt_core::pg::billing::{BillingProvider, departed, hold_tenant, remind};
use mt_core::pg::ledger::{Customer, Failure, LeasedEvent, NewEvent, Outcome, Provider};
use mt_core::pg::{PgError, SystemTx};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

/// The provider's name.
pub(super) const NAME: &str = "second";

/// The key that the provider adds to its deliveries. What it proves is not the point here.
const KEY: &str = "a key of the tests";

/// The body of an event.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Body {
    pub(super) number: i64,
    pub(super) buyer: String,
    /// The provider's own words: `on`, `owing` or `off`.
    pub(super) state: String,
    pub(super) article: String,
}

/// A delivery with the right key: only [`verify`] makes one.
pub(super) struct Verified(NewEvent);

impl From<Verified> for NewEvent {
    fn from(verified: Verified) -> Self {
        verified.0
    }
}

pub(super) fn verify(key: &str, body: &Body) -> Option<Verified> {
    let bytes = serde_json::to_vec(body).unwrap();
    let event = NewEvent {
        customer_id: Some(body.buyer.clone()),
        ..NewEvent::new(format!("e-{}", body.number), body.state.as_str(), bytes)
    };
    (key == KEY).then_some(Verified(event))
}

pub(super) fn signed(body: &Body) -> Verified {
    verify(KEY, body).unwrap()
}

/// The provider with its price table.
pub(super) struct Second(pub(super) PriceTable);

impl BillingProvider for Second {
    const NAME: &'static str = NAME;

    async fn purchases(tx: &mut SystemTx, customer: Customer<'_>) -> Result<Purchases, PgError> {
        let latest: Option<Json<Body>> = sqlx::query_scalar(
            "select state from mt.subscriptions \
             where provider = $1 and account = $2 and livemode = any ('{false,true}') \
                 and customer_id = $3",
        )
        .bind(NAME)
        .bind(customer.account)
        .bind(customer.id)
        .fetch_optional(tx.conn())
        .await?;
        let subscriptions = latest.iter().map(|Json(body)| snapshot(body)).collect();
        Ok(Purchases { subscriptions, invoices: Vec::new() })
    }
}

fn snapshot(body: &Body) -> SubscriptionSnapshot {
    let at = |number| chrono::DateTime::from_timestamp(1_795_449_600 + number, 0).unwrap();
    let status = match body.state.as_str() {
        "on" => SubscriptionStatus::Active,
        "owing" => SubscriptionStatus::PastDue,
        "off" => SubscriptionStatus::Canceled,
        other => SubscriptionStatus::Other(other.into()),
    };
    SubscriptionSnapshot {
        id: format!("s-{}", body.buyer),
        past_due_since: (status == SubscriptionStatus::PastDue).then(|| at(body.number)),
        status,
        prices: vec![body.article.clone()],
        truncated: false,
        started: at(0),
        current_period_end: None,
        cancel_at_period_end: false,
        collection_paused: false,
        needs_refetch: false,
        missing: false,
    }
}

impl Provider for Second {
    const NAME: &'static str = NAME;
    type Event = Verified;
    type Prepared = Body;

    async fn prepare(&self, event: &LeasedEvent) -> Result<Body, Outcome> {
        serde_json::from_slice(&event.body)
            .map_err(|_| Outcome::Dead(Failure::new("malformed", "it is not an event")))
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        _: &LeasedEvent,
        body: Body,
    ) -> Result<Outcome, PgError> {
        let customer = Customer { provider: NAME, account: "", livemode: false, id: &body.buyer };
        let shown = snapshot(&body);
        let Some(tenant) = customer.tenant(tx).await? else {
            let Some(former) = customer.former(tx).await? else {
                return Ok(Outcome::Deferred(Failure::new("unlinked_customer", "no tenant yet")));
            };
            if former.tenant_deleted {
                let subscription = (shown.id.as_str(), &shown.status);
                departed::report(tx, customer, subscription, &shown.prices, &self.0).await?;
            }
            return Ok(Outcome::Ignored("tenant_gone"));
        };
        if !hold_tenant(tx, tenant).await? {
            return Ok(Outcome::Ignored("tenant_gone"));
        }
        // This provider numbers its events, so its order is that of the numbers.
        sqlx::query(
            "insert into mt.subscriptions as s (provider, account, livemode, subscription_id, \
                 customer_id, status, needs_refetch, state) \
             values ($1, '', false, $2, $3, '', false, $4) \
             on conflict (provider, account, livemode, subscription_id) \
                 do update set state = excluded.state \
                 where (s.state ->> 'number')::bigint < (excluded.state ->> 'number')::bigint",
        )
        .bind(NAME)
        .bind(&shown.id)
        .bind(&body.buyer)
        .bind(Json(&body))
        .execute(tx.conn())
        .await?;
        let purchases = Self::purchases(tx, customer).await?;
        customer.project(tx, tenant, &purchases, &self.0).await?;
        let is_owing = purchases.subscriptions.iter().any(|one| one.past_due_since.is_some());
        if is_owing {
            let invoice = unpaid(&body);
            if mt_core::billing::pays_for_a_plan(&invoice, &purchases.subscriptions, &self.0) {
                remind(tx, customer, tenant, &invoice.id, 1).await?;
            }
        }
        Ok(Outcome::Processed)
    }
}

fn unpaid(body: &Body) -> InvoiceSnapshot {
    let shown = snapshot(body);
    InvoiceSnapshot {
        id: format!("i-{}", body.number),
        subscription: Some(shown.id),
        one_off: false,
        prices: shown.prices,
        created: shown.started,
        paid: Some(false),
        first_failed: shown.past_due_since,
    }
}
