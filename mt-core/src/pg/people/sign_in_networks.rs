//! The networks from which an address has signed in.
//!
//! Limits on links count by address and network. An address keeps a share of its own for each network in which
//! one of its links was redeemed, so requests from other networks cannot use that up. A person who redeems a link reads
//! the mailbox; asking for one proves nothing, so it is the redeeming network that is remembered.

use std::time::Duration;

use crate::email::EmailAddress;
use crate::pg::{PgError, System, SystemReason, SystemTx, User};
use crate::token::TokenHasher;

const PURGE: SystemReason = SystemReason::new("purge networks that were not seen for long");

impl User {
    /// Remembers that the address signed in from `network`, a text that always names a network in the same way.
    ///
    /// Only a keyed hash of the two is stored.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn remember_network(
        &self,
        tx: &mut SystemTx,
        hasher: &TokenHasher,
        network: &str,
    ) -> Result<(), PgError> {
        sqlx::query(
            "insert into mt.sign_in_networks as known (digest) values ($1) \
             on conflict (digest) do update set seen_at = now() \
                 where known.seen_at < now() - interval '1 day'",
        )
        .bind(hasher.hash(&named(&self.email, network)).as_bytes())
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// Whether `email` signed in from `network` and was seen there since the latest
    /// [`purge_networks`](Self::purge_networks).
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn knows_network(
        tx: &mut SystemTx,
        hasher: &TokenHasher,
        email: &EmailAddress,
        network: &str,
    ) -> Result<bool, PgError> {
        let candidates = hasher.candidates(&named(email.as_str(), network));
        let digests: Vec<Vec<u8>> =
            candidates.iter().map(|hash| hash.as_bytes().to_vec()).collect();
        let knows = sqlx::query_scalar(
            "select exists (select 1 from mt.sign_in_networks where digest = any ($1))",
        )
        .bind(digests)
        .fetch_one(tx.conn())
        .await?;
        Ok(knows)
    }

    /// Forgets networks in which no link was redeemed for `age`, and returns how many. Any number of processes may
    /// do it at once.
    ///
    /// # Errors
    ///
    /// [`PgError`]; what was deleted until then is gone.
    pub async fn purge_networks(system: &System, age: Duration) -> Result<u64, PgError> {
        let sql = "delete from mt.sign_in_networks where digest in ( \
                 select digest from mt.sign_in_networks \
                 where seen_at < now() - make_interval(secs => $1) \
                 order by seen_at for update skip locked limit $2)";
        system.delete_older_than(age, PURGE, sql).await
    }
}

/// What is hashed. The spaces keep it apart from every token, and the network has none.
fn named(email: &str, network: &str) -> String {
    format!("network {network} {email}")
}
