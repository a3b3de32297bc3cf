//! Magic links: signing in by proving to read an address.
//!
//! Making and redeeming take turns, one address at a time: both reach for the address's other links.
//! Without turns, links made at once would not count each other, and links redeemed at once would wait
//! for each other. The lock is an advisory one, since an address without links has no row to lock.

use std::time::Duration;

use sqlx::Row as _;

use super::{PgError, SystemTx, User};
use crate::email::{EmailAddress, EmailError};
use crate::token::{SecretToken, TokenHasher};

/// How many live links an address may have; the oldest give way.
const LIVE_LINKS: i64 = 3;

impl User {
    /// Makes a magic link for `email`, whoever that is: known and unknown addresses take the same
    /// steps. It lives for `ttl`, by the database's clock.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn make_magic_link(
        tx: &mut SystemTx,
        hasher: &TokenHasher,
        email: &EmailAddress,
        ttl: Duration,
    ) -> Result<SecretToken, PgError> {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('mt.magic_links ' || $1, 0))")
            .bind(email.as_str())
            .execute(tx.conn())
            .await?;
        let token = SecretToken::generate();
        sqlx::query(
            "insert into mt.magic_links (id, email, token_hash, expires_at) \
             values ($1, $2, $3, now() + make_interval(secs => $4))",
        )
        .bind(uuid::Uuid::now_v7())
        .bind(email.as_str())
        .bind(hasher.hash(token.reveal()).as_bytes())
        .bind(ttl.as_secs_f64())
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "update mt.magic_links set voided_at = now() \
             where email = $1 and used_at is null and voided_at is null and id not in ( \
                 select id from mt.magic_links \
                 where email = $1 and used_at is null and voided_at is null \
                 order by id desc limit $2)",
        )
        .bind(email.as_str())
        .bind(LIVE_LINKS)
        .execute(tx.conn())
        .await?;
        // A bounded sweep, so that the table does not grow for ever and no request pays for all.
        sqlx::query(
            "delete from mt.magic_links where id in ( \
                 select id from mt.magic_links where expires_at < now() - interval '1 day' \
                 order by expires_at limit 20 for update skip locked)",
        )
        .execute(tx.conn())
        .await?;
        Ok(token)
    }

    /// Uses a magic link up and finds or makes its user. Of any number of concurrent attempts one
    /// succeeds. The address's other links are voided.
    ///
    /// # Errors
    ///
    /// [`RedeemError`]. Commit after an error too, or not: nothing was changed.
    pub async fn redeem_magic_link(
        tx: &mut SystemTx,
        hasher: &TokenHasher,
        token: &str,
    ) -> Result<Self, RedeemError> {
        let stored_as: Vec<Vec<u8>> =
            hasher.candidates(token).iter().map(|hash| hash.as_bytes().to_vec()).collect();
        sqlx::query(
            "select pg_advisory_xact_lock(hashtextextended('mt.magic_links ' || email, 0)) \
             from mt.magic_links where token_hash = any ($1)",
        )
        .bind(&stored_as)
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
        let email: Option<String> = sqlx::query_scalar(
            "update mt.magic_links set used_at = now() \
             where token_hash = any ($1) and used_at is null and voided_at is null \
                 and expires_at > now() \
             returning email",
        )
        .bind(&stored_as)
        .fetch_optional(tx.conn())
        .await
        .map_err(PgError::from)?;
        let Some(email) = email else {
            return Err(why_not(tx, &stored_as).await?);
        };
        sqlx::query(
            "update mt.magic_links set voided_at = now() \
             where email = $1 and used_at is null and voided_at is null",
        )
        .bind(&email)
        .execute(tx.conn())
        .await
        .map_err(PgError::from)?;
        let email = EmailAddress::parse(&email)?;
        Ok(Self::find_or_create(tx, &email).await?)
    }
}

/// Says what is wrong with a link that could not be used. Used wins over expired.
async fn why_not(tx: &mut SystemTx, stored_as: &[Vec<u8>]) -> Result<RedeemError, PgError> {
    let row = sqlx::query(
        "select used_at is not null as used, voided_at is not null as voided \
         from mt.magic_links where token_hash = any ($1)",
    )
    .bind(stored_as)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(RedeemError::Invalid) };
    Ok(match (row.try_get("used")?, row.try_get("voided")?) {
        (true, _) => RedeemError::Used,
        (false, true) => RedeemError::Invalid,
        (false, false) => RedeemError::Expired,
    })
}

/// Why a magic link did not sign anybody in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// A stored address is not an address.
    #[error("stored address is malformed")]
    Address(#[from] EmailError),
    /// It is too old.
    #[error("magic link has expired")]
    Expired,
    /// There is no such link, or a newer one or another sign-in has taken its place.
    #[error("magic link is invalid")]
    Invalid,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// It was used before.
    #[error("magic link was used before")]
    Used,
}
