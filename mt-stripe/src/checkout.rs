//! Checkout sessions that this server made, and what they claim once they are complete.
//!
//! Most services link a customer before anything is bought ([`link`](crate::link)) and make the session for
//! that customer; then a completed session says nothing new. Where Stripe makes the customer, at the end of
//! a session, the session is [noted](note) when it is made, and its event links whoever completed it.
//! Sessions that were not noted are somebody else's, and ignored.
//!
//! [`Claims`] decides: two tenants that claim one customer get nothing, in whichever order they come. So a
//! link that was made by a claim falls when another contradicts it; one that the server made stays.

use mt_core::access::Permission;
use mt_core::id::TenantId;
use mt_core::pg::audit_log::{Action, Fact};
use mt_core::pg::ledger::{self, Outcome};
use mt_core::pg::{PgError, SystemTx, TenantTx};
use uuid::Uuid;

use crate::PROVIDER;
use crate::audit::{CHECKOUT_COMPLETED, CHECKOUT_STARTED, CUSTOMER_LINKED};
use crate::claim::{CheckoutSession, Claims, Link};
use crate::projection::PriceTable;
use crate::state::{self, Realm};

/// Writes down that `session` was made for the transaction's tenant. Call it before anybody is sent there.
///
/// # Errors
///
/// [`PgError`].
pub async fn note<P, L>(tx: &mut TenantTx<P, L>, session: &str) -> Result<(), PgError>
where
    P: Permission,
{
    let tenant = tx.tenant().as_uuid();
    sqlx::query(
        "insert into mt.checkout_sessions (tenant_id, provider, session_id) values ($1, $2, $3) \
         on conflict do nothing",
    )
    .bind(tenant)
    .bind(PROVIDER)
    .bind(session)
    .execute(tx.change::<P>(CHECKOUT_STARTED.on(tenant)))
    .await?;
    Ok(())
}

/// Lets a completed session claim its customer, who is held by this transaction.
pub(crate) async fn complete(
    tx: &mut SystemTx,
    realm: Realm<'_>,
    session: &CheckoutSession,
    prices: &PriceTable,
) -> Result<Outcome, PgError> {
    let Some(tenant) = realm.record_claim(tx, &session.id).await? else {
        return Ok(Outcome::Ignored("unknown_session"));
    };
    let linked = realm.link(tx).await?;
    let by_server = linked.as_ref().filter(|link| !link.claimed).map(|link| link.tenant);
    Ok(match realm.claims(tx).await?.link(by_server) {
        // A link that is gone is not made again by the claim that made it.
        Link::To(_) if linked.is_none() && realm.former(tx).await?.is_some() => {
            Outcome::Ignored("tenant_gone")
        }
        Link::To(claimant) if linked.is_none() => match realm.link_to(tx, claimant).await? {
            true => Outcome::Processed,
            false => Outcome::Ignored("tenant_has_a_customer"),
        },
        Link::To(_) | Link::None => Outcome::Processed,
        Link::Stays(owner) if owner == tenant => Outcome::Processed,
        Link::Stays(_) => Outcome::Ignored("customer_of_another_tenant"),
        Link::Conflict => {
            if let Some(link) = linked {
                realm.unlink(tx, link.tenant, prices).await?;
            }
            Outcome::Ignored("conflicting_claims")
        }
    })
}

struct Linked {
    tenant: Uuid,
    claimed: bool,
}

impl Realm<'_> {
    /// Notes who completed the session. Returns the tenant that it was made for, if it was made here.
    async fn record_claim(self, tx: &mut SystemTx, session: &str) -> Result<Option<Uuid>, PgError> {
        let noted: Option<(Uuid, bool)> = sqlx::query_as(
            "update mt.checkout_sessions set customer_id = $4, \
                 completed_at = coalesce(completed_at, now()) \
             where provider = $1 and account = $2 and session_id = $3 \
                 and coalesce(customer_id, $4) = $4 \
             returning tenant_id, completed_at = now()",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(session)
        .bind(self.customer)
        .fetch_optional(tx.conn())
        .await?;
        if let Some((tenant, true)) = noted {
            self.record(tx, tenant, CHECKOUT_COMPLETED);
        }
        Ok(noted.map(|(tenant, _)| tenant))
    }

    async fn claims(self, tx: &mut SystemTx) -> Result<Claims, PgError> {
        let tenants: Vec<Uuid> = sqlx::query_scalar(
            "select distinct tenant_id from mt.checkout_sessions \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_all(tx.conn())
        .await?;
        Ok(tenants.into_iter().fold(Claims::default(), |claims, tenant| claims.with(Some(tenant))))
    }

    async fn link(self, tx: &mut SystemTx) -> Result<Option<Linked>, PgError> {
        let row: Option<(Uuid, bool)> = sqlx::query_as(
            "select tenant_id, claimed from mt.billing_customers \
             where provider = $1 and account = $2 and customer_id = $3",
        )
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .fetch_optional(tx.conn())
        .await?;
        Ok(row.map(|(tenant, claimed)| Linked { tenant, claimed }))
    }

    /// `false`: the tenant is gone, or pays as another customer.
    async fn link_to(self, tx: &mut SystemTx, tenant: Uuid) -> Result<bool, PgError> {
        if !state::hold_tenant(tx, tenant).await? {
            return Ok(false);
        }
        let made = sqlx::query(
            "insert into mt.billing_customers (tenant_id, provider, account, customer_id, claimed) \
             values ($1, $2, $3, $4, true) on conflict do nothing",
        )
        .bind(tenant)
        .bind(PROVIDER)
        .bind(self.account)
        .bind(self.customer)
        .execute(tx.conn())
        .await?;
        ledger::wake_held(tx, PROVIDER, self.account, self.customer).await?;
        let made = made.rows_affected() == 1;
        if made {
            self.record(tx, tenant, CUSTOMER_LINKED);
        }
        Ok(made)
    }

    fn record(self, tx: &mut SystemTx, tenant: Uuid, action: Action) {
        let entry = action.on(tenant).with("customer", Fact::of_word(self.customer));
        tx.record(TenantId::from_uuid(tenant), entry);
    }
}
