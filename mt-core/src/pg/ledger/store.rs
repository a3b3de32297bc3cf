//! The one insert by which deliveries become durable.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::FromRow as _;
use uuid::Uuid;

use super::event::{Row, columns};
use super::{Claimed, Delivery, EventStatus, LedgerEvent};
use crate::pg::{PgError, SystemPool, SystemReason};

const RECEIVE: SystemReason = SystemReason::new("store webhook events");

/// One event, for all deliveries of it that came together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) delivery: &'a Delivery,
    /// How many deliveries this stands for.
    pub(super) deliveries: i32,
    /// Whether whoever stores it goes on with it at once, if it is new.
    pub(super) claim: bool,
}

/// What the ledger says of an arrival.
#[derive(Debug)]
pub(super) enum Stored {
    /// It is new, and whoever is told this has claimed it.
    Claimed(Box<Claimed>),
    /// The event was known, and this is how far it has come, and why it was not applied.
    Known { status: EventStatus, reason: Option<String> },
    /// It is new, and waits.
    New,
}

impl Stored {
    pub(super) const fn status(&self) -> EventStatus {
        match self {
            Self::Claimed(_) => EventStatus::Processing,
            Self::Known { status, .. } => *status,
            Self::New => EventStatus::Received,
        }
    }
}

/// Stores arrivals, no two of one event, in one statement and one transaction, and says what became of
/// each, in their order.
///
/// The body of a repeated delivery may differ, for providers render it anew; the first is kept.
pub(super) async fn store(
    system: &SystemPool,
    provider: &str,
    lease: Duration,
    arrivals: &[Arrival<'_>],
) -> Result<Vec<Stored>, PgError> {
    let ids: Vec<Uuid> = arrivals.iter().map(|_| Uuid::now_v7()).collect();
    let tokens: Vec<Option<Uuid>> =
        arrivals.iter().map(|arrival| arrival.claim.then(Uuid::new_v4)).collect();
    let deliveries: Vec<i32> = arrivals.iter().map(|arrival| arrival.deliveries).collect();
    let mut tx = system.begin(RECEIVE).await?;
    let rows = sqlx::query(concat!(
        "insert into mt.webhook_events as e \
             (id, provider, event_id, type, account, livemode, api_version, event_created, object_id, \
              customer_id, body, deliveries, status, attempts, claimed_at, lease_token, lease_until, \
              next_attempt_at) \
         select n.id, $1, n.event_id, n.type, n.account, n.livemode, n.api_version, n.created, \
             n.object_id, n.customer_id, n.body, n.deliveries, \
             case when n.token is null then 'received' else 'processing' end, \
             case when n.token is null then 0 else 1 end, \
             case when n.token is not null then now() end, n.token, \
             case when n.token is not null then now() + make_interval(secs => $2) end, \
             now() + case when n.token is null then interval '0' else make_interval(secs => $2) end \
         from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[], \
                 $9::timestamptz[], $10::text[], $11::text[], $12::bytea[], $13::integer[], $14::uuid[]) \
             with ordinality as n (id, event_id, type, account, livemode, api_version, created, \
                 object_id, customer_id, body, deliveries, token, place) \
         order by n.place \
         on conflict (provider, event_id) do update \
             set deliveries = e.deliveries + excluded.deliveries, last_delivery_at = now() \
         returning ",
        columns!()
    ))
    .bind(provider)
    .bind(lease.as_secs_f64())
    .bind(&ids)
    .bind(each(arrivals, |delivery| delivery.event_id.as_str()))
    .bind(each(arrivals, |delivery| delivery.kind.as_str()))
    .bind(each(arrivals, |delivery| delivery.account.as_str()))
    .bind(each(arrivals, |delivery| delivery.livemode))
    .bind(each(arrivals, |delivery| delivery.api_version.as_deref()))
    .bind(each(arrivals, |delivery| delivery.created))
    .bind(each(arrivals, |delivery| delivery.object_id.as_deref()))
    .bind(each(arrivals, |delivery| delivery.customer_id.as_deref()))
    .bind(each(arrivals, |delivery| delivery.body.as_slice()))
    .bind(deliveries)
    .bind(&tokens)
    .fetch_all(tx.conn())
    .await?;
    let mut events = HashMap::with_capacity(rows.len());
    for row in &rows {
        let event: LedgerEvent = Row::from_row(row)?.try_into()?;
        events.insert(event.event_id.clone(), event);
    }
    tx.commit().await?;
    let said = arrivals.iter().zip(ids.iter().zip(tokens)).map(|(arrival, (id, token))| {
        let event = events.remove(&arrival.delivery.event_id).ok_or(sqlx::Error::RowNotFound)?;
        Ok(match (event.id == *id, token) {
            (false, _) => Stored::Known { status: event.status, reason: event.last_error },
            (true, None) => Stored::New,
            (true, Some(token)) => {
                let body = arrival.delivery.body.clone();
                Stored::Claimed(Box::new(Claimed::new(event, body, token)))
            }
        })
    });
    said.collect()
}

/// One column of all arrivals.
fn each<'a, T>(arrivals: &[Arrival<'a>], column: impl Fn(&'a Delivery) -> T) -> Vec<T> {
    arrivals.iter().map(|arrival| column(arrival.delivery)).collect()
}
