//! Idempotency keys of calls that change something at the provider.
//!
//! A provider such as Stripe keeps its answer to a key for a day, also if the answer is an error. So a key serves for
//! one answer:
//!
//! * after an answer, whatever it says, the next call has a new key ([`end`]), so a failure is not repeated;
//! * without an answer (a timeout, a broken connection, a killed process) the next call has the same key: if the first
//!   call did arrive, the provider repeats its answer and makes nothing twice.
//!
//! The key is committed before the call, so both hold across restarts, and two processes that call at once share a key.
//! A tenant has one call of each operation under way.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::access::Permission;
use crate::pg::{PgError, TenantTx};

/// A call that is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    provider: &'static str,
    operation: &'static str,
    key: String,
}

impl Call {
    /// The idempotency key to call with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Records a call of `operation` to `provider` for the transaction's tenant, and returns its key. Commit this before
/// the call.
///
/// `request` is everything that is sent: the provider refuses a key that comes with another request, so a call without
/// an answer is repeated under its key only if it is the same call.
///
/// A new key also means that no other call is under way. Where only one object may be made, look for it after this, in
/// the same transaction: a call that has ended since an earlier look has stored what it made.
///
/// # Errors
///
/// [`PgError`].
pub async fn begin<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    provider: &'static str,
    operation: &'static str,
    request: &str,
) -> Result<Call, PgError> {
    let fresh = format!("mt-{operation}-{}", Uuid::new_v4().simple());
    let key = sqlx::query_scalar(
        "insert into mt.provider_calls as c \
             (tenant_id, provider, operation, request, idempotency_key) \
         values ($1, $2, $3, $4, $5) \
         on conflict (tenant_id, provider, operation) do update set \
             idempotency_key = case when c.request = excluded.request \
                 then c.idempotency_key else excluded.idempotency_key end, \
             begun_at = case when c.request = excluded.request \
                 then c.begun_at else excluded.begun_at end, \
             request = excluded.request \
         returning idempotency_key",
    )
    .bind(tx.tenant().as_uuid())
    .bind(provider)
    .bind(operation)
    .bind(Sha256::digest(request.as_bytes()).as_slice())
    .bind(fresh)
    .fetch_one(tx.execute_unaudited::<P>())
    .await?;
    Ok(Call { provider, operation, key })
}

/// Records that `call` was answered. If the answer made something, do this in the transaction that stores it.
///
/// # Errors
///
/// [`PgError`]. The next call has the same key then, and gets the same answer.
pub async fn end<P: Permission, L>(tx: &mut TenantTx<P, L>, call: &Call) -> Result<(), PgError> {
    sqlx::query(
        "delete from mt.provider_calls where tenant_id = $1 and provider = $2 \
             and operation = $3 and idempotency_key = $4",
    )
    .bind(tx.tenant().as_uuid())
    .bind(call.provider)
    .bind(call.operation)
    .bind(&call.key)
    .execute(tx.execute_unaudited::<P>())
    .await?;
    Ok(())
}
