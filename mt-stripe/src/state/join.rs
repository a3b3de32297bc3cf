//! Joining what an event says with what is known, each in one statement.
//!
//! The statements do the same as [`SubscriptionState::join`] and [`InvoiceState::join`], over the JSON that these
//! serialise to; `tests/it/subscriptions/sql_join.rs` compares the two on random events. A join in one statement is atomic without a
//! lock, and takes one round trip.

use mt_core::pg::ledger::Customer;
use mt_core::pg::{PgError, SystemTx};
use sqlx::types::Json;

use crate::invoice::InvoiceState;
use crate::known::{Fetched, KnownSubscription};
use crate::order::SubscriptionState;

/// The greater group decides whose events are kept; events of one group are put together. `group` is
/// `[phase, second]`, and JSON arrays of one length compare by their members.
const JOIN_SUBSCRIPTION: &str = "\
    insert into mt.subscriptions as s (provider, account, livemode, subscription_id, customer_id, \
        status, needs_refetch, state) \
    values ($1, $2, $3, $4, $5, '', false, $6) \
    on conflict (provider, account, livemode, subscription_id) do update \
        set (state, updated_at) = ( \
            select joined, case when joined = s.state then s.updated_at else now() end \
            from ( \
                select greatest(s.state -> 'settled', excluded.state -> 'settled') as at \
            ) as settled, lateral ( \
                select coalesce(jsonb_agg(distinct past_due), '[]') as run \
                from jsonb_array_elements( \
                    (s.state -> 'past_due') || (excluded.state -> 'past_due')) as past_due \
                where settled.at = 'null' or past_due > settled.at \
            ) as past_due, lateral ( \
                select jsonb_build_object( \
                    'group', greatest(s.state -> 'group', excluded.state -> 'group'), \
                    'seen', case \
                        when s.state -> 'group' > excluded.state -> 'group' then s.state -> 'seen' \
                        when s.state -> 'group' < excluded.state -> 'group' \
                            then excluded.state -> 'seen' \
                        else (s.state -> 'seen') || (excluded.state -> 'seen') end, \
                    'settled', settled.at, \
                    'past_due', past_due.run) as joined \
            ) as joined) \
        where s.customer_id = excluded.customer_id \
    returning state, fetched";

/// Greatest and least of each register. JSON's null is less than any number and any text, so that only
/// the least needs care; texts are compared by bytes, as Rust does.
const JOIN_INVOICE: &str = "\
    insert into mt.invoices as i (provider, account, livemode, invoice_id, customer_id, \
        subscription_id, status, state) \
    values ($1, $2, $3, $4, $5, $6, $7, $8) \
    on conflict (provider, account, livemode, invoice_id) do update \
        set (subscription_id, status, state, updated_at) = ( \
            select joined ->> 'subscription', \
                case when i.state -> 'status' > excluded.state -> 'status' \
                    then i.status else excluded.status end, \
                joined, case when joined = i.state then i.updated_at else now() end \
            from ( \
                select jsonb_build_object( \
                    'id', i.state -> 'id', \
                    'subscription', greatest((i.state ->> 'subscription') collate \"C\", \
                        (excluded.state ->> 'subscription') collate \"C\"), \
                    'one_off', greatest(coalesce(i.state -> 'one_off', 'false'), \
                        coalesce(excluded.state -> 'one_off', 'false')), \
                    'prices', (select coalesce(jsonb_agg(distinct price), '[]') \
                        from jsonb_array_elements( \
                            (i.state -> 'prices') || (excluded.state -> 'prices')) as price), \
                    'status', greatest(i.state -> 'status', excluded.state -> 'status'), \
                    'created', greatest(i.state -> 'created', excluded.state -> 'created'), \
                    'first_seen', least(i.state -> 'first_seen', excluded.state -> 'first_seen'), \
                    'first_failed', least(nullif(i.state -> 'first_failed', 'null'), \
                        nullif(excluded.state -> 'first_failed', 'null')), \
                    'paid', greatest(i.state -> 'paid', excluded.state -> 'paid')) as joined \
            ) as joined) \
        where i.customer_id = excluded.customer_id";

/// Joins what an event says of a subscription with what is known of it, and returns what is known then. `None`: the
/// subscription belongs to another customer, and stays as it is.
pub(crate) async fn join_subscription(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    seen: &SubscriptionState,
) -> Result<Option<KnownSubscription>, PgError> {
    let Some(believed) = seen.believed() else { return Ok(None) };
    let known: Option<(Json<SubscriptionState>, Option<Json<Fetched>>)> =
        sqlx::query_as(JOIN_SUBSCRIPTION)
            .bind(customer.provider)
            .bind(customer.account)
            .bind(customer.livemode)
            .bind(&believed.subscription.id)
            .bind(customer.id)
            .bind(Json(seen))
            .fetch_optional(tx.conn())
            .await?;
    Ok(known.map(|(Json(state), fetched)| {
        KnownSubscription::stored(state, fetched.map(|Json(fetched)| fetched))
    }))
}

/// Joins what an event says of an invoice with what is known of it. Returns `false` if the invoice belongs to another
/// customer, and stays as it is.
pub(crate) async fn join_invoice(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    seen: &InvoiceState,
) -> Result<bool, PgError> {
    let joined = sqlx::query(JOIN_INVOICE)
        .bind(customer.provider)
        .bind(customer.account)
        .bind(customer.livemode)
        .bind(&seen.id)
        .bind(customer.id)
        .bind(&seen.subscription)
        .bind(seen.status.as_str())
        .bind(Json(seen))
        .execute(tx.conn())
        .await?;
    Ok(joined.rows_affected() == 1)
}
