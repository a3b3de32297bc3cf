//! The start of a fetch from Stripe, and its answer as stored.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::Customer;
use mt_core::pg::{PgError, SystemTx};
use sqlx::types::Json;

use crate::PROVIDER;
use crate::fetch::SubscriptionName;
use crate::known::{Answer, FetchStart, Fetched, KnownSubscription};
use crate::order::SubscriptionState;

/// The number of a fetch, and the time by the database's clock.
///
/// Read what is known *after* this, in a statement of its own: so a fetch with a greater number knows at least as much.
pub(crate) async fn next_number(tx: &mut SystemTx) -> Result<(i64, DateTime<Utc>), PgError> {
    Ok(sqlx::query_as("select nextval('mt.fetch_numbers'), clock_timestamp()")
        .fetch_one(tx.conn())
        .await?)
}

/// Starts the fetch of one subscription, and returns the answer that counts so far.
pub(crate) async fn start_fetch(
    tx: &mut SystemTx,
    name: &SubscriptionName<'_>,
) -> Result<(FetchStart, Option<Fetched>), PgError> {
    let (number, asked) = next_number(tx).await?;
    let row: Option<(Json<SubscriptionState>, Option<Json<Fetched>>)> = sqlx::query_as(
        "select state, fetched from mt.subscriptions \
         where provider = $1 and account = $2 and livemode = $3 and subscription_id = $4",
    )
    .bind(PROVIDER)
    .bind(name.account)
    .bind(name.livemode)
    .bind(name.id)
    .fetch_optional(tx.conn())
    .await?;
    let (known, fetched) = match row {
        Some((Json(known), fetched)) => (known, fetched.map(|Json(fetched)| fetched)),
        None => (SubscriptionState::default(), None),
    };
    Ok((FetchStart::new(number, asked, &known), fetched))
}

/// The customer of a subscription, if any is known.
pub(crate) async fn customer_of(
    tx: &mut SystemTx,
    name: &SubscriptionName<'_>,
) -> Result<Option<String>, PgError> {
    Ok(sqlx::query_scalar(
        "select customer_id from mt.subscriptions \
         where provider = $1 and account = $2 and livemode = $3 and subscription_id = $4",
    )
    .bind(PROVIDER)
    .bind(name.account)
    .bind(name.livemode)
    .bind(name.id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Reads everything that is known of a customer's subscriptions in either mode, by mode and identifier.
pub(crate) async fn subscriptions(
    tx: &mut SystemTx,
    customer: Customer<'_>,
) -> Result<BTreeMap<(bool, String), KnownSubscription>, PgError> {
    type Row = (bool, String, Json<SubscriptionState>, Option<Json<Fetched>>);
    let rows: Vec<Row> = sqlx::query_as(
        "select livemode, subscription_id, state, fetched from mt.subscriptions \
         where provider = $1 and account = $2 and livemode = any ('{false,true}') \
             and customer_id = $3",
    )
    .bind(customer.provider)
    .bind(customer.account)
    .bind(customer.id)
    .fetch_all(tx.conn())
    .await?;
    let known = rows.into_iter().map(|(livemode, id, Json(events), fetched)| {
        let fetched = fetched.map(|Json(fetched)| fetched);
        ((livemode, id), KnownSubscription::stored(events, fetched))
    });
    Ok(known.collect())
}

/// Stores an answer beside the events. Returns `false` if the answer to a later fetch is stored already, or if the
/// subscription belongs to another customer.
pub(crate) async fn write_answer(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    id: &str,
    start: &FetchStart,
    answer: Answer,
) -> Result<bool, PgError> {
    // Without a row there is nothing to lock, so this inserts an empty one.
    let row: Option<(Json<SubscriptionState>, Option<Json<Fetched>>)> = sqlx::query_as(
        "insert into mt.subscriptions as s (provider, account, livemode, subscription_id, \
             customer_id, status, needs_refetch, state) \
         values ($1, $2, $3, $4, $5, '', false, $6) \
         on conflict (provider, account, livemode, subscription_id) \
             do update set fetch_number = s.fetch_number \
             where s.customer_id = excluded.customer_id and s.fetch_number < $7 \
         returning state, fetched",
    )
    .bind(customer.provider)
    .bind(customer.account)
    .bind(customer.livemode)
    .bind(id)
    .bind(customer.id)
    .bind(Json(SubscriptionState::default()))
    .bind(start.number())
    .fetch_optional(tx.conn())
    .await?;
    let Some((Json(events), fetched)) = row else { return Ok(false) };
    let known = KnownSubscription::stored(events, fetched.map(|Json(fetched)| fetched));
    let known = known.answered(start, answer);
    sqlx::query(
        "update mt.subscriptions set fetched = $5, fetch_number = $6, updated_at = now() \
         where provider = $1 and account = $2 and livemode = $3 and subscription_id = $4",
    )
    .bind(customer.provider)
    .bind(customer.account)
    .bind(customer.livemode)
    .bind(id)
    .bind(known.fetched().map(Json))
    .bind(start.number())
    .execute(tx.conn())
    .await?;
    Ok(true)
}
