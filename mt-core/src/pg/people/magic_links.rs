//! Magic links: signing in by proving to read an address.
//!
//! Making and redeeming take turns, one address at a time: both reach for the address's other links.
//! Without turns, links made at once would not count each other, and links redeemed at once would wait
//! for each other. The lock is an advisory one, since an address without links has no row to lock.

use std::time::Duration;

use sqlx::Row as _;

use crate::email::{EmailAddress, EmailError};
use crate::pg::{PgError, SystemTx, User};
use crate::token::{SecretToken, TokenHasher};

/// How many live links an address may have. Enough for one who asks again and again, and few enough for the mailbox.
const LIVE_LINKS: i64 = 10;

impl User {
    /// Makes a magic link for `email`, of a user or not: known and unknown addresses take the same
    /// steps. It lives for `ttl`, by the database's clock.
    ///
    /// `None`: the address has ten live links already, and no other is made. No request voids a live link, since
    /// anyone may ask for a link to any address: those that were sent stay good until one of them is redeemed or
    /// they expire.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn make_magic_link(
        tx: &mut SystemTx,
        hasher: &TokenHasher,
        email: &EmailAddress,
        ttl: Duration,
    ) -> Result<Option<SecretToken>, PgError> {
        take_turn(tx, email.as_str()).await?;
        let token = SecretToken::generate();
        let made = sqlx::query(
            "insert into mt.magic_links (id, email, token_hash, expires_at) \
             select $1, $2, $3, now() + make_interval(secs => $4) \
             where (select count(*) from ( \
                 select 1 from mt.magic_links \
                 where email = $2 and used_at is null and voided_at is null and expires_at > now() \
                 limit $5) live) < $5",
        )
        .bind(uuid::Uuid::now_v7())
        .bind(email.as_str())
        .bind(hasher.hash(token.reveal()).as_bytes())
        .bind(ttl.as_secs_f64())
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
        Ok((made.rows_affected() == 1).then_some(token))
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

/// Waits for its turn at the links of `email`, until the transaction ends.
pub(super) async fn take_turn(tx: &mut SystemTx, email: &str) -> Result<(), PgError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('mt.magic_links ' || $1, 0))")
        .bind(email)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The reason why a link cannot be used. Used wins over expired.
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

/// Why a magic link was not redeemed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// A stored address is not an address.
    #[error("stored address is malformed")]
    Address(#[from] EmailError),
    /// It is too old.
    #[error("magic link has expired")]
    Expired,
    /// There is no such link, or the address signed in by another one.
    #[error("magic link is invalid")]
    Invalid,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// It was used before.
    #[error("magic link was used before")]
    Used,
}
