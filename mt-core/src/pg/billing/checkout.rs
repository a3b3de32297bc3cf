//! Checkout sessions that this server made, and the customers that they claim once they are completed.
//!
//! Most services link a customer before anything is bought ([`link`](super::link())) and make the session for that
//! customer; then a completed session says nothing new. Where the provider makes the customer, at the end of a session,
//! the server [records](record) the session when it makes it, and the session's event links the customer that completed
//! it. Sessions that were not recorded are ignored.
//!
//! [`Claims`] decides: two tenants that claim one customer get nothing, in whichever order they come. So a link that a
//! claim has made ends when another claim contradicts it; one that the server has made stays.

use std::time::Duration;

use uuid::Uuid;

use super::audit::{CHECKOUT_COMPLETED, CHECKOUT_STARTED, CUSTOMER_LINKED};
use super::hold_tenant;
use crate::access::{Implies, Permission};
use crate::billing::{Claims, Link, PriceTable};
use crate::id::TenantId;
use crate::pg::audit_log::{Action, Fact};
use crate::pg::ledger::{self, Customer, Outcome};
use crate::pg::{PgError, System, SystemReason, SystemTx, TenantTx};

/// A Checkout session and its page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// The provider's identifier.
    pub id: String,
    /// The address of the page that a buyer is sent to.
    pub url: String,
}

/// Records that `session` was made for the transaction's tenant and for `customer`. Call it before a buyer is sent
/// there.
///
/// # Errors
///
/// [`PgError`].
pub async fn record<P, L>(
    tx: &mut TenantTx<P, L>,
    provider: &str,
    customer: &str,
    session: &Session,
) -> Result<(), PgError>
where
    P: Permission,
{
    let tenant = tx.tenant().as_uuid();
    sqlx::query(
        "insert into mt.checkout_sessions (tenant_id, provider, session_id, made_for, url) \
         values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(tenant)
    .bind(provider)
    .bind(&session.id)
    .bind(customer)
    .bind(&session.url)
    .execute(tx.execute::<P>(CHECKOUT_STARTED.on(tenant)))
    .await?;
    Ok(())
}

/// Returns the session that was made for the transaction's tenant and `customer` within the last minute, if it is not
/// completed. So a buyer who asks again is sent there, and the provider makes no other one.
///
/// # Errors
///
/// [`PgError`].
pub async fn recent<Q, P, L>(
    tx: &mut TenantTx<P, L>,
    provider: &str,
    customer: &str,
) -> Result<Option<Session>, PgError>
where
    Q: Permission,
    P: Implies<Q>,
{
    let tenant = tx.tenant().as_uuid();
    let row: Option<(String, String)> = sqlx::query_as(
        "select session_id, url from mt.checkout_sessions \
         where tenant_id = $1 and provider = $2 and made_for = $3 and url is not null \
             and customer_id is null and created_at > now() - interval '1 minute' \
         order by created_at desc limit 1",
    )
    .bind(tenant)
    .bind(provider)
    .bind(customer)
    .fetch_optional(tx.under::<Q>())
    .await?;
    Ok(row.map(|(id, url)| Session { id, url }))
}

/// How long an abandoned session is kept.
const ABANDONED: Duration = Duration::from_hours(30 * 24);

const PURGE: SystemReason = SystemReason::new("delete abandoned checkout sessions");

/// Deletes the sessions of all tenants that were made more than 30 days ago and not completed, and returns how many.
/// Completed ones stay: they are claims of their customers.
///
/// # Errors
///
/// [`PgError`]; what was deleted before stays deleted.
pub async fn purge(system: &System) -> Result<u64, PgError> {
    let sql = "delete from mt.checkout_sessions where (provider, account, session_id) in ( \
             select provider, account, session_id from mt.checkout_sessions \
             where customer_id is null and created_at < now() - make_interval(secs => $1) \
             order by created_at for update skip locked limit $2)";
    system.delete_older_than(ABANDONED, PURGE, sql).await
}

/// Lets a completed session claim its customer, whom this transaction must have [locked](Customer::lock).
///
/// # Errors
///
/// [`PgError`].
pub async fn complete(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    session: &str,
    prices: &PriceTable,
) -> Result<Outcome, PgError> {
    let Some(tenant) = customer.record_claim(tx, session).await? else {
        return Ok(Outcome::Ignored("unknown_session"));
    };
    let linked = customer.link(tx).await?;
    let by_server = linked.as_ref().filter(|link| !link.claimed).map(|link| link.tenant);
    Ok(match customer.claims(tx).await?.link(by_server) {
        // A claim does not make again a link that has ended.
        Link::To(_) if linked.is_none() && customer.former(tx).await?.is_some() => {
            Outcome::Ignored("tenant_gone")
        }
        Link::To(claimant) if linked.is_none() => match customer.link_to(tx, claimant).await? {
            true => Outcome::Processed,
            false => Outcome::Ignored("tenant_has_a_customer"),
        },
        Link::To(_) | Link::None => Outcome::Processed,
        Link::Stays(owner) if owner == tenant => Outcome::Processed,
        Link::Stays(_) => Outcome::Ignored("customer_of_another_tenant"),
        Link::Conflict => {
            if let Some(link) = linked {
                customer.unlink(tx, link.tenant, prices).await?;
            }
            Outcome::Ignored("conflicting_claims")
        }
    })
}

struct Linked {
    tenant: Uuid,
    claimed: bool,
}

impl Customer<'_> {
    /// Records that the customer completed the session. Returns the tenant that it was made for, if it was recorded.
    async fn record_claim(self, tx: &mut SystemTx, session: &str) -> Result<Option<Uuid>, PgError> {
        let noted: Option<(Uuid, bool)> = sqlx::query_as(
            "update mt.checkout_sessions set customer_id = $4, \
                 completed_at = coalesce(completed_at, now()) \
             where provider = $1 and account = $2 and session_id = $3 \
                 and coalesce(customer_id, $4) = $4 \
             returning tenant_id, completed_at = now()",
        )
        .bind(self.provider)
        .bind(self.account)
        .bind(session)
        .bind(self.id)
        .fetch_optional(tx.conn())
        .await?;
        if let Some((tenant, true)) = noted {
            self.record_in_log(tx, tenant, CHECKOUT_COMPLETED);
        }
        Ok(noted.map(|(tenant, _)| tenant))
    }

    async fn claims(self, tx: &mut SystemTx) -> Result<Claims, PgError> {
        let tenants: Vec<Uuid> = sqlx::query_scalar(
            "select distinct tenant_id from mt.checkout_sessions \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .fetch_all(tx.conn())
        .await?;
        Ok(tenants.into_iter().fold(Claims::default(), |claims, tenant| claims.with(Some(tenant))))
    }

    async fn link(self, tx: &mut SystemTx) -> Result<Option<Linked>, PgError> {
        let row: Option<(Uuid, bool)> = sqlx::query_as(
            "select tenant_id, claimed from mt.billing_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .fetch_optional(tx.conn())
        .await?;
        Ok(row.map(|(tenant, claimed)| Linked { tenant, claimed }))
    }

    /// Links the customer. Returns `false` if the tenant is deleted or has another customer.
    async fn link_to(self, tx: &mut SystemTx, tenant: Uuid) -> Result<bool, PgError> {
        if !hold_tenant(tx, tenant).await? {
            return Ok(false);
        }
        let made = sqlx::query(
            "insert into mt.billing_customers (tenant_id, provider, account, customer_id, claimed) \
             values ($1, $2, $3, $4, true) on conflict do nothing",
        )
        .bind(tenant)
        .bind(self.provider)
        .bind(self.account)
        .bind(self.id)
        .execute(tx.conn())
        .await?;
        ledger::wake_held(tx, self.provider, self.account, self.id).await?;
        let made = made.rows_affected() == 1;
        if made {
            self.record_in_log(tx, tenant, CUSTOMER_LINKED);
        }
        Ok(made)
    }

    fn record_in_log(self, tx: &mut SystemTx, tenant: Uuid, action: Action) {
        let entry = action.on(tenant).with("customer", Fact::of_word(self.id));
        tx.record(TenantId::from_uuid(tenant), entry);
    }
}
