//! Requests that their sender may repeat: the answer to the first is kept, and is the answer to all.
//!
//! A client that hears nothing does not know whether its request was carried out, and can only send it
//! again. With a key of its own on both, the second finds the answer to the first.
//!
//! The answer is written in the transaction of the change that it tells of. So there is no moment in
//! which one is there and the other is not, whatever is killed; and a request that failed, or was
//! refused, has left nothing behind and is simply tried anew. Of any number that come at once one goes on
//! and the others wait for its end, under an advisory lock that ends with the transaction.
//!
//! Authority comes first: a transaction has to be opened to find an answer, so whoever has been removed
//! since is told nothing.
//!
//! # Deployment
//!
//! Answers live for [a day](KEPT_FOR). Something has to call [`purge`] now and then, in any number of
//! processes. An answer that holds a secret is stored with it.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row as _};

use super::tx_conn::TxConn;
use super::{PgError, SystemPool, SystemReason, SystemTx, TenantTx};
use crate::access::{Effect, Permission};
use crate::id::PrincipalId;

/// How long an answer is kept. Afterwards its key means a new request.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// The same, to Postgres.
macro_rules! kept_since {
    () => {
        "now() - interval '24 hours'"
    };
}

/// A request that its sender has given a key.
///
/// ```no_run
/// # use mt_core::access::Permission;
/// # use mt_core::pg::TenantTx;
/// # use mt_core::pg::idempotency::{KeptAnswer, RepeatError, Repeatable};
/// # async fn make<P: Permission>(_: &mut TenantTx<P>) -> KeptAnswer { unreachable!() }
/// async fn create<P: Permission>(mut tx: TenantTx<P>) -> Result<KeptAnswer, RepeatError> {
///     let request = Repeatable::new("/projects", "a key of the client's", br#"{"name":"One"}"#);
///     if let Some(earlier) = request.earlier(&mut tx).await? {
///         return Ok(earlier);
///     }
///     let answer = make(&mut tx).await;
///     request.keep(&mut tx, &answer).await?;
///     tx.commit().await?;
///     Ok(answer)
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Repeatable {
    request: [u8; 32],
    body: [u8; 32],
}

/// An answer as it was given, in the words of no framework.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptAnswer {
    /// The status.
    pub status: u16,
    /// Those headers that are part of the answer: names and values.
    pub headers: Vec<(String, String)>,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

impl Repeatable {
    /// A request for what `target` names, under the sender's `key`, with `body`. Targets and keys count
    /// for one principal in one tenant.
    #[must_use]
    pub fn new(target: &str, key: &str, body: &[u8]) -> Self {
        let mut request = Sha256::new();
        // The length keeps `a` + `bc` from being `ab` + `c`.
        request.update((target.len() as u64).to_be_bytes());
        request.update(target);
        request.update(key);
        Self { request: request.finalize().into(), body: Sha256::digest(body).into() }
    }

    /// The answer that this request was given before, if it was. `None` holds its name until the
    /// transaction ends: whoever repeats it meanwhile waits. One round trip.
    ///
    /// # Errors
    ///
    /// [`RepeatError`].
    pub async fn earlier<P: Permission, L>(
        &self,
        tx: &mut TenantTx<P, L>,
    ) -> Result<Option<KeptAnswer>, RepeatError> {
        const { assert!(matches!(P::EFFECT, Effect::Write), "only what changes something is kept") }
        let (tenant, principal) = (tx.tenant(), tx.principal().id());
        let place = format!(
            "mt.idempotency_keys a on a.tenant_id = '{tenant}' and a.principal_id = '{principal}'"
        );
        self.find(tx.conn(), &format!("{tenant} {principal}"), &place).await
    }

    /// Keeps the answer to this request, in the transaction of what it did.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn keep<P: Permission, L>(
        &self,
        tx: &mut TenantTx<P, L>,
        answer: &KeptAnswer,
    ) -> Result<(), PgError> {
        let (tenant, principal) = (tx.tenant().as_uuid(), tx.principal().id().as_uuid());
        sqlx::query(
            "insert into mt.idempotency_keys \
                 (tenant_id, principal_id, request_digest, body_digest, status, headers, body) \
             values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict on constraint idempotency_keys_pkey do update \
                 set body_digest = excluded.body_digest, status = excluded.status, \
                     headers = excluded.headers, body = excluded.body, created_at = now()",
        )
        .bind(tenant)
        .bind(principal)
        .bind(self.request)
        .bind(self.body)
        .bind(answer.status.cast_signed())
        .bind(Json(&answer.headers))
        .bind(&answer.body)
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// [`earlier`](Self::earlier), for a request of `principal` in no tenant.
    ///
    /// # Errors
    ///
    /// [`RepeatError`].
    pub async fn earlier_of(
        &self,
        tx: &mut SystemTx,
        principal: PrincipalId,
    ) -> Result<Option<KeptAnswer>, RepeatError> {
        let place = format!("mt.principal_idempotency_keys a on a.principal_id = '{principal}'");
        self.find(tx.conn(), &principal.to_string(), &place).await
    }

    /// [`keep`](Self::keep), for a request of `principal` in no tenant.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn keep_of(
        &self,
        tx: &mut SystemTx,
        principal: PrincipalId,
        answer: &KeptAnswer,
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

    /// Waits for its turn and looks, in one message. The look is a statement of its own, or it would not
    /// see what was committed while it waited. Only UUIDs and hex digits are written into the text.
    async fn find(
        &self,
        conn: TxConn<'_>,
        whose: &str,
        place: &str,
    ) -> Result<Option<KeptAnswer>, RepeatError> {
        let request = hex::encode(self.request);
        let sql = format!(
            "select pg_advisory_xact_lock(\
                 hashtextextended('mt.idempotency_keys {whose} {request}', 0)); \
             select a.body_digest, a.status, a.headers, a.body from (select 1) one \
             left join {place} and a.request_digest = '\\x{request}' and a.created_at > {}",
            kept_since!()
        );
        let rows =
            sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(conn).await.map_err(PgError::from)?;
        let found = rows.last().map(|row| self.read(row)).transpose().map_err(PgError::from)?;
        found.flatten().transpose()
    }

    fn read(&self, row: &PgRow) -> Result<Option<Result<KeptAnswer, RepeatError>>, sqlx::Error> {
        let Some(body) = row.try_get::<Option<Vec<u8>>, _>("body_digest")? else {
            return Ok(None);
        };
        if body != self.body {
            return Ok(Some(Err(RepeatError::Mismatch)));
        }
        let Json(headers) = row.try_get("headers")?;
        let status = row.try_get::<i16, _>("status")?.cast_unsigned();
        Ok(Some(Ok(KeptAnswer { status, headers, body: row.try_get("body")? })))
    }
}

/// Why a repeated request is not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepeatError {
    /// The key was used before for another body.
    #[error("the key was used before for another request")]
    Mismatch,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
}

const PURGE: SystemReason = SystemReason::new("purge answers that were kept long enough");

/// How many answers go in one transaction.
const BATCH: u64 = 500;

/// Deletes the answers whose day is over, and says how many. Any number of processes may do it at once.
///
/// # Errors
///
/// [`PgError`]; what was deleted until then is gone.
pub async fn purge(system: &SystemPool) -> Result<u64, PgError> {
    let in_tenants = concat!(
        "delete from mt.idempotency_keys \
         where (tenant_id, principal_id, request_digest) in ( \
             select tenant_id, principal_id, request_digest from mt.idempotency_keys \
             where created_at <= ",
        kept_since!(),
        " order by created_at for update skip locked limit $1)"
    );
    let in_none = concat!(
        "delete from mt.principal_idempotency_keys where (principal_id, request_digest) in ( \
             select principal_id, request_digest from mt.principal_idempotency_keys \
             where created_at <= ",
        kept_since!(),
        " order by created_at for update skip locked limit $1)"
    );
    let mut purged = 0;
    for sql in [in_tenants, in_none] {
        loop {
            let mut tx = system.begin(PURGE).await?;
            let batch = sqlx::query(sql)
                .bind(BATCH.cast_signed())
                .execute(tx.conn())
                .await?
                .rows_affected();
            tx.commit().await?;
            purged += batch;
            if batch < BATCH {
                break;
            }
        }
    }
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_key_and_body_each_count() {
        let one = Repeatable::new("ab", "c", b"x");
        assert_eq!(one, Repeatable::new("ab", "c", b"x"));
        for other in [Repeatable::new("a", "bc", b"x"), Repeatable::new("ab", "d", b"x")] {
            assert_ne!(one.request, other.request);
        }
        let other_body = Repeatable::new("ab", "c", b"y");
        assert_eq!(one.request, other_body.request);
        assert_ne!(one.body, other_body.body);
    }

    #[test]
    fn both_constants_say_a_day() {
        assert!(kept_since!().contains(&format!("'{} hours'", KEPT_FOR.as_secs() / 3600)));
    }
}
