//! Tickets for questions to Stripe, and its answers as they are written down.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mt_core::pg::{PgError, SystemTx};
use sqlx::types::Json;

use super::Realm;
use crate::PROVIDER;
use crate::fetch::SubscriptionName;
use crate::known::{Answer, Fetched, KnownSubscription, Ticket};
use crate::order::SubscriptionState;

/// The next number of a ticket, and the time by the database's clock.
///
/// What is known is to be read *after* this, in a statement of its own: whoever has a greater number knows
/// at least as much.
pub(crate) async fn next_number(tx: &mut SystemTx) -> Result<(i64, DateTime<Utc>), PgError> {
    Ok(sqlx::query_as("select nextval('mt.fetch_tickets'), clock_timestamp()")
        .fetch_one(tx.conn())
        .await?)
}

/// A ticket to ask for one subscription, and the answer that counts so far.
pub(crate) async fn take_ticket_for(
    tx: &mut SystemTx,
    name: &SubscriptionName<'_>,
) -> Result<(Ticket, Option<Fetched>), PgError> {
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
    Ok((Ticket::new(number, asked, &known), fetched))
}

/// Whose subscription it is, as far as is known.
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

impl Realm<'_> {
    /// All that is known of this customer's subscriptions in either mode, by mode and identifier.
    pub(crate) async fn subscriptions(
        self,
        tx: &mut SystemTx,
    ) -> Result<BTreeMap<(bool, String), KnownSubscription>, PgError> {
        type Row = (bool, String, Json<SubscriptionState>, Option<Json<Fetched>>);
        let rows: Vec<Row> = sqlx::query_as(
            "select livemode, subscription_id, state, fetched from mt.subscriptions \
             where provider = $1 and account = $2 and livemode = any ('{false,true}') \
                 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_all(tx.conn())
        .await?;
        let known = rows.into_iter().map(|(livemode, id, Json(events), fetched)| {
            let fetched = fetched.map(|Json(fetched)| fetched);
            ((livemode, id), KnownSubscription::stored(events, fetched))
        });
        Ok(known.collect())
    }

    /// Writes an answer beside the events. `false`: it was overtaken, or is another customer's.
    pub(crate) async fn write_answer(
        self,
        tx: &mut SystemTx,
        id: &str,
        ticket: &Ticket,
        answer: Answer,
    ) -> Result<bool, PgError> {
        // An empty row, if there is none, so that there is something to hold.
        let row: Option<(Json<SubscriptionState>, Option<Json<Fetched>>)> = sqlx::query_as(
            "insert into mt.subscriptions as s (provider, account, livemode, subscription_id, \
                 customer_id, status, needs_refetch, state) \
             values ($1, $2, $3, $4, $5, '', false, $6) \
             on conflict (provider, account, livemode, subscription_id) \
                 do update set ticket = s.ticket \
                 where s.customer_id = excluded.customer_id and s.ticket < $7 \
             returning state, fetched",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(id)
        .bind(self.customer)
        .bind(Json(SubscriptionState::default()))
        .bind(ticket.number())
        .fetch_optional(tx.conn())
        .await?;
        let Some((Json(events), fetched)) = row else { return Ok(false) };
        let known = KnownSubscription::stored(events, fetched.map(|Json(fetched)| fetched));
        let known = known.answered(ticket, answer);
        sqlx::query(
            "update mt.subscriptions set fetched = $5, ticket = $6, updated_at = now() \
             where provider = $1 and account = $2 and livemode = $3 and subscription_id = $4",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.livemode)
        .bind(id)
        .bind(known.fetched().map(Json))
        .bind(ticket.number())
        .execute(tx.conn())
        .await?;
        Ok(true)
    }
}
