//! The insert by which deliveries become durable.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::FromRow as _;
use uuid::Uuid;

use super::event::{Row, columns};
use super::{EventStatus, LeasedEvent, LedgerEvent, NewEvent};
use crate::pg::{PgError, System, SystemReason};

const RECEIVE: SystemReason = SystemReason::new("store webhook events");

/// The result of storing one delivery.
#[derive(Debug)]
pub(super) enum Stored {
    /// The event was known: its status, and why it was not applied.
    Known { status: EventStatus, reason: Option<String> },
    /// The event is new, and leased to the caller.
    Leased(Box<LeasedEvent>),
    /// The event is new, and due.
    New,
}

impl Stored {
    pub(super) const fn status(&self) -> EventStatus {
        match self {
            Self::Leased(_) => EventStatus::Processing,
            Self::Known { status, .. } => *status,
            Self::New => EventStatus::Received,
        }
    }
}

/// Writes deliveries of one provider.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) system: System,
    pub(super) provider: &'static str,
    pub(super) lease: Duration,
}

impl Store {
    /// Stores events, no two of them with one id, in one statement and one transaction, and returns the result for
    /// each, in their order. A new event that comes with `true` is leased.
    ///
    /// The body of a repeated delivery may differ, since providers render it anew; the first is kept.
    pub(super) async fn store(&self, events: &[(&NewEvent, bool)]) -> Result<Vec<Stored>, PgError> {
        let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
        let tokens: Vec<Option<Uuid>> =
            events.iter().map(|(_, lease)| lease.then(Uuid::new_v4)).collect();
        let mut tx = self.system.begin(RECEIVE).await?;
        let rows = sqlx::query(concat!(
            "insert into mt.webhook_events as e \
                 (id, provider, event_id, type, account, livemode, api_version, event_created, object_id, \
                  customer_id, body, status, attempts, leased_at, lease_token, lease_until, \
                  next_attempt_at) \
             select n.id, $1, n.event_id, n.type, n.account, n.livemode, n.api_version, n.created, \
                 n.object_id, n.customer_id, n.body, \
                 case when n.token is null then 'received' else 'processing' end, \
                 case when n.token is null then 0 else 1 end, \
                 case when n.token is not null then now() end, n.token, \
                 case when n.token is not null then now() + make_interval(secs => $2) end, \
                 now() + case when n.token is null then interval '0' else make_interval(secs => $2) end \
             from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[], \
                     $9::timestamptz[], $10::text[], $11::text[], $12::bytea[], $13::uuid[]) \
                 with ordinality as n (id, event_id, type, account, livemode, api_version, created, \
                     object_id, customer_id, body, token, place) \
             order by n.place \
             on conflict (provider, event_id) do update \
                 set deliveries = e.deliveries + 1, last_delivery_at = now() \
             returning ",
            columns!()
        ))
        .bind(self.provider)
        .bind(self.lease.as_secs_f64())
        .bind(&ids)
        .bind(column(events, |event| event.event_id.as_str()))
        .bind(column(events, |event| event.kind.as_str()))
        .bind(column(events, |event| event.account.as_str()))
        .bind(column(events, |event| event.livemode))
        .bind(column(events, |event| event.api_version.as_deref()))
        .bind(column(events, |event| event.created))
        .bind(column(events, |event| event.object_id.as_deref()))
        .bind(column(events, |event| event.customer_id.as_deref()))
        .bind(column(events, |event| event.body.as_slice()))
        .bind(&tokens)
        .fetch_all(tx.conn())
        .await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let event: LedgerEvent = Row::from_row(row)?.try_into()?;
            found.insert(event.event_id.clone(), event);
        }
        tx.commit().await?;
        let stored = events.iter().zip(ids.iter().zip(tokens)).map(|((new, _), (id, token))| {
            let event = found.remove(&new.event_id).ok_or(sqlx::Error::RowNotFound)?;
            Ok(match (event.id == *id, token) {
                (false, _) => Stored::Known { status: event.status, reason: event.last_error },
                (true, None) => Stored::New,
                (true, Some(token)) => {
                    Stored::Leased(Box::new(LeasedEvent::new(event, new.body.clone(), token)))
                }
            })
        });
        stored.collect()
    }
}

/// One column of all events.
fn column<'a, T>(events: &[(&'a NewEvent, bool)], column: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
    events.iter().map(|(event, _)| column(event)).collect()
}
