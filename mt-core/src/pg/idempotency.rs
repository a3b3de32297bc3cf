//! Idempotency keys: a request that is sent again gets the response to the first one.
//!
//! A client that gets no response does not know whether its request was carried out, and can only send it again. With an
//! idempotency key of its own on both, the second is answered with the response to the first.
//!
//! The response is stored in the transaction of the change that it tells of, so neither is ever there without the other.
//! A request that failed or was refused leaves nothing behind and is simply carried out anew. Of several requests under one
//! key that come at once, one is carried out and the others wait for its end, under an advisory lock that ends with the
//! transaction.
//!
//! The permission is checked first: a transaction has to be opened to find a response, so a member who was removed since
//! gets none.
//!
//! # Deployment
//!
//! Responses are kept for [a day](KEPT_FOR). Call [`purge`] regularly, in any number of processes. A response that holds a
//! secret is stored with it.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row as _};

use crate::id::{PrincipalId, TenantId};
use crate::pg::transaction::tx_conn::TxConn;
use crate::pg::{PgError, System, SystemReason, SystemTx};

/// How long a response is kept. Afterwards its key means a new request.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// The same span of time as SQL.
macro_rules! kept_since {
    () => {
        "now() - interval '24 hours'"
    };
}

/// A request that its sender has given an idempotency key.
///
/// ```no_run
/// # use mt_core::access::{Grant, Permission, Writes};
/// # use mt_core::pg::{TenantTx, Tenants};
/// # use mt_core::pg::idempotency::{IdempotentRequest, StoredResponse};
/// # async fn make<P: Permission<Effect = Writes>>(_: &mut TenantTx<P>) -> StoredResponse { unreachable!() }
/// async fn create<P: Permission<Effect = Writes>>(
///     tenants: Tenants<P::Model>,
///     grant: Grant<P>,
/// ) -> Result<StoredResponse, Box<dyn std::error::Error>> {
///     let request = IdempotentRequest::new("/projects", "a key of the client's", br#"{"name":"One"}"#);
///     let mut tx = tenants.begin(grant).idempotent(&request).await?;
///     if let Some(earlier) = tx.stored_response()? {
///         return Ok(earlier);
///     }
///     let response = make(&mut tx).await;
///     tx.store_response(&response).await?;
///     tx.commit().await?;
///     Ok(response)
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdempotentRequest {
    request: [u8; 32],
    body: [u8; 32],
}

/// A response as it was sent, in the types of no framework.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredResponse {
    /// The status.
    pub status: u16,
    /// The headers that are part of it: names and values.
    pub headers: Vec<(String, String)>,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

impl IdempotentRequest {
    /// A request for `target` under the sender's `key`, with `body`. Keys count for one principal in one tenant.
    #[must_use]
    pub fn new(target: &str, key: &str, body: &[u8]) -> Self {
        let mut request = Sha256::new();
        // The length keeps `a` + `bc` from being `ab` + `c`.
        request.update((target.len() as u64).to_be_bytes());
        request.update(target);
        request.update(key);
        Self { request: request.finalize().into(), body: Sha256::digest(body).into() }
    }

    /// What waits for the turn of this request in `tenant` and looks for its response, as two statements. The look is a
    /// statement of its own, or it would not see what was committed while it waited. Only UUIDs and hex digits are in it.
    pub(super) fn find_in(&self, tenant: TenantId, principal: PrincipalId) -> String {
        let table = format!(
            "mt.idempotency_keys a on a.tenant_id = '{tenant}' and a.principal_id = '{principal}'"
        );
        self.find(&format!("{tenant} {principal}"), &table)
    }

    /// Stores the response to this request. By parameters, since a response holds what users wrote, and the text of
    /// statements is what Postgres logs.
    pub(super) async fn store_in(
        &self,
        conn: TxConn<'_>,
        (tenant, principal): (TenantId, PrincipalId),
        response: &StoredResponse,
    ) -> Result<(), PgError> {
        sqlx::query(
            "insert into mt.idempotency_keys \
                 (tenant_id, principal_id, request_digest, body_digest, status, headers, body) \
             values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict on constraint idempotency_keys_pkey do update \
                 set body_digest = excluded.body_digest, status = excluded.status, \
                     headers = excluded.headers, body = excluded.body, created_at = now()",
        )
        .bind(tenant.as_uuid())
        .bind(principal.as_uuid())
        .bind(self.request)
        .bind(self.body)
        .bind(response.status.cast_signed())
        .bind(Json(&response.headers))
        .bind(&response.body)
        .execute(conn)
        .await?;
        Ok(())
    }

    /// The response to this request of `principal` in no tenant, if it was carried out before. Without one, the same request
    /// waits elsewhere until the transaction ends. One round trip.
    ///
    /// # Errors
    ///
    /// [`IdempotencyError`].
    pub async fn stored_response(
        &self,
        tx: &mut SystemTx,
        principal: PrincipalId,
    ) -> Result<Option<StoredResponse>, IdempotencyError> {
        let table = format!("mt.principal_idempotency_keys a on a.principal_id = '{principal}'");
        let sql = self.find(&principal.to_string(), &table);
        let rows =
            sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(tx.own()).await.map_err(PgError::from)?;
        Ok(self.stored(rows.last()).map_err(PgError::from)??)
    }

    /// Stores the response to this request of `principal` in no tenant, in the transaction of what it did.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn store_response(
        &self,
        tx: &mut SystemTx,
        principal: PrincipalId,
        answer: &StoredResponse,
    ) -> Result<(), PgError> {
        sqlx::query(
            "insert into mt.principal_idempotency_keys \
                 (principal_id, request_digest, body_digest, status, headers, body) \
             values ($1, $2, $3, $4, $5, $6) \
             on conflict on constraint principal_idempotency_keys_pkey do update \
                 set body_digest = excluded.body_digest, status = excluded.status, \
                     headers = excluded.headers, body = excluded.body, created_at = now()",
        )
        .bind(principal.as_uuid())
        .bind(self.request)
        .bind(self.body)
        .bind(answer.status.cast_signed())
        .bind(Json(&answer.headers))
        .bind(&answer.body)
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    fn find(&self, sender: &str, table: &str) -> String {
        let request = hex::encode(self.request);
        format!(
            "select pg_advisory_xact_lock(\
                 hashtextextended('mt.idempotency_keys {sender} {request}', 0)); \
             select a.body_digest, a.status, a.headers, a.body from (select 1) one \
             left join {table} and a.request_digest = '\\x{request}' and a.created_at > {}",
            kept_since!()
        )
    }

    /// Reads the row that [`find_in`](Self::find_in) returned.
    pub(super) fn stored(
        &self,
        row: Option<&PgRow>,
    ) -> Result<Result<Option<StoredResponse>, KeyReused>, sqlx::Error> {
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        let Some(body) = row.try_get::<Option<Vec<u8>>, _>("body_digest")? else {
            return Ok(Ok(None));
        };
        if body != self.body {
            return Ok(Err(KeyReused));
        }
        let Json(headers) = row.try_get("headers")?;
        let status = row.try_get::<i16, _>("status")?.cast_unsigned();
        Ok(Ok(Some(StoredResponse { status, headers, body: row.try_get("body")? })))
    }
}

/// The key was used before for a request with another body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the idempotency key was used before for another request")]
pub struct KeyReused;

/// Why the response to a request is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyError {
    /// [`KeyReused`]. Refuse the request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}

const PURGE: SystemReason = SystemReason::new("purge stored responses that were kept long enough");

/// Deletes the responses that were kept for a day and returns how many. Any number of processes may do it at once.
///
/// # Errors
///
/// [`PgError`]; what was deleted until then is gone.
pub async fn purge(system: &System) -> Result<u64, PgError> {
    let in_tenants = "delete from mt.idempotency_keys \
         where (tenant_id, principal_id, request_digest) in ( \
             select tenant_id, principal_id, request_digest from mt.idempotency_keys \
             where created_at <= now() - make_interval(secs => $1) \
             order by created_at for update skip locked limit $2)";
    let in_none = "delete from mt.principal_idempotency_keys where (principal_id, request_digest) in ( \
             select principal_id, request_digest from mt.principal_idempotency_keys \
             where created_at <= now() - make_interval(secs => $1) \
             order by created_at for update skip locked limit $2)";
    let mut purged = 0;
    for sql in [in_tenants, in_none] {
        purged += system.delete_older_than(KEPT_FOR, PURGE, sql).await?;
    }
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_key_and_body_each_count() {
        let one = IdempotentRequest::new("ab", "c", b"x");
        assert_eq!(one, IdempotentRequest::new("ab", "c", b"x"));
        for other in
            [IdempotentRequest::new("a", "bc", b"x"), IdempotentRequest::new("ab", "d", b"x")]
        {
            assert_ne!(one.request, other.request);
        }
        let other_body = IdempotentRequest::new("ab", "c", b"y");
        assert_eq!(one.request, other_body.request);
        assert_ne!(one.body, other_body.body);
    }

    #[test]
    fn both_constants_say_a_day() {
        assert!(kept_since!().contains(&format!("'{} hours'", KEPT_FOR.as_secs() / 3600)));
    }
}
