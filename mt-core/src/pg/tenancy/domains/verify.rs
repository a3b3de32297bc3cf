//! Verifying a domain.

use super::Domain;
use super::txt_resolver::{DnsError, TxtResolver};
use crate::pg::audit_log::{Actor, DOMAIN_VERIFIED};
use crate::pg::{PgError, System, SystemReason, SystemTx};

const REASON: SystemReason = SystemReason::new("verify a domain");

/// Verifies a claim: reads the domain's TXT records and, if they prove that the tenant controls it, makes the tenant
/// the domain's owner. A claim that is verified already stays so.
///
/// Load `domain` by [`find`](super::find) in a transaction of the permission that this needs, and end that transaction
/// first. `actor` is who asked for it, for the audit log.
///
/// # Errors
///
/// [`VerifyError`], in the order: DNS does not answer, not proved, claim removed, verified by another tenant.
pub async fn verify<R: TxtResolver>(
    system: &System,
    resolver: &R,
    actor: Actor,
    domain: &Domain,
) -> Result<(), VerifyError> {
    let challenge = &domain.challenge;
    let records = resolver.txt_records(challenge.record_name()).await?;
    if !challenge.is_met_by(&records) {
        let (name, value) = (challenge.record_name(), challenge.record_value());
        return Err(VerifyError::NotProved { name: name.to_owned(), value: value.to_owned() });
    }
    let mut tx = system.begin(REASON).await?;
    tx.act_as(actor);
    lock_tenant(&mut tx, domain).await?;
    let updated = sqlx::query(
        "update mt.domains set verified_at = now(), checked_at = now() \
         where tenant_id = $1 and id = $2 and verified_at is null",
    )
    .bind(domain.tenant.as_uuid())
    .bind(domain.id.as_uuid())
    .execute(tx.conn())
    .await
    .map_err(PgError::from)?;
    if updated.rows_affected() == 0 {
        let exists: bool = sqlx::query_scalar(
            "select exists (select 1 from mt.domains where tenant_id = $1 and id = $2)",
        )
        .bind(domain.tenant.as_uuid())
        .bind(domain.id.as_uuid())
        .fetch_one(tx.conn())
        .await
        .map_err(PgError::from)?;
        tx.rollback().await?;
        return if exists { Ok(()) } else { Err(VerifyError::Removed) };
    }
    tx.record(domain.tenant, DOMAIN_VERIFIED.on(domain.id.as_uuid()));
    Ok(tx.commit().await?)
}

/// Keeps the tenant from being deleted until the transaction ends. The audit entry refers to the tenant, and a deletion
/// locks the tenant before its domains: locked in the other order, the two would wait for each other.
pub(super) async fn lock_tenant(tx: &mut SystemTx, domain: &Domain) -> Result<(), PgError> {
    sqlx::query("select 1 from mt.tenants where id = $1 for key share")
        .bind(domain.tenant.as_uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Why a domain was not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// DNS does not have the record. Show the user which one to add, and that a change can take a while to be seen.
    #[error("no TXT record `{name}` with the value `{value}`")]
    NotProved {
        /// The name of the record.
        name: String,
        /// Its value.
        value: String,
    },
    /// The claim was removed, or its tenant was deleted.
    #[error("the domain is not claimed any more")]
    Removed,
    /// Another tenant has verified the domain and still has it. It is free once that tenant removes it, or
    /// [`recheck`](super::recheck) takes it away.
    #[error("another tenant has verified this domain")]
    Taken,
    /// DNS does not answer. Try again later.
    #[error(transparent)]
    Unavailable(#[from] DnsError),
    /// A database error.
    #[error(transparent)]
    Pg(PgError),
}

impl From<PgError> for VerifyError {
    fn from(error: PgError) -> Self {
        match error.constraint() {
            Some("domains_verified_key") => Self::Taken,
            _ => Self::Pg(error),
        }
    }
}
