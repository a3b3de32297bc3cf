//! The seal on the tenant of a transaction, by which an SQL injection stays in it.
//!
//! Any statement can change a setting, so policies go by a seal that only the function `mt.enter` of the database can
//! make. It makes one for a caller with a ticket, and tickets are made here, with a key that only `mt_system` can read. See
//! `migrations/0001_seal.sql`.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgRow;
use sqlx::{Error as SqlxError, Row as _};
use uuid::Uuid;

use crate::auth::Principal;
use crate::id::TenantId;

/// The `SQLSTATE` of a ticket that was made with another key.
const REFUSED: &str = "MT001";

/// Whom a transaction is for: what the seal covers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::pg) struct Entrant {
    tenant: Option<Uuid>,
    principal: Option<Uuid>,
    /// The only tenant that the principal's credential is good in.
    bound_to: Option<Uuid>,
}

impl Entrant {
    /// `principal` in `tenant`.
    pub(in crate::pg) const fn member(tenant: TenantId, principal: Principal) -> Self {
        let (tenant, principal) = (Some(tenant.as_uuid()), Some(principal.id().as_uuid()));
        Self { tenant, principal, bound_to: None }
    }

    /// A service in `tenant`: no principal.
    pub(in crate::pg) const fn service(tenant: TenantId) -> Self {
        Self { tenant: Some(tenant.as_uuid()), principal: None, bound_to: None }
    }

    /// `principal` in no tenant.
    pub(in crate::pg) fn principal(principal: Principal) -> Self {
        let bound_to = principal.tenant().map(TenantId::as_uuid);
        Self { tenant: None, principal: Some(principal.id().as_uuid()), bound_to }
    }
}

/// Shown with a blank for whatever there is none of.
fn shown(id: Option<Uuid>) -> String {
    id.map_or_else(String::new, |id| id.hyphenated().to_string())
}

/// The key that tickets are made with. Never shown.
#[derive(Clone, Eq, PartialEq)]
pub(in crate::pg) struct SealKey(Vec<u8>);

/// The statement that reads it, as `mt_system`.
pub(in crate::pg) const READ_KEY: &str = "select mt.seal_key() as key";

impl SealKey {
    /// Out of the row that [`READ_KEY`] returns.
    pub(in crate::pg) fn read(rows: &[PgRow]) -> Result<Self, SqlxError> {
        rows.last().ok_or(SqlxError::RowNotFound)?.try_get("key").map(Self)
    }

    /// The statement by which a transaction on `backend` enters. It is made of digits, hex digits and hyphens.
    ///
    /// `backend` is the process that serves the connection, and 0 behind a pooler, where that changes.
    pub(in crate::pg) fn call(&self, backend: i32, entrant: Entrant) -> String {
        let Entrant { tenant, principal, bound_to } = entrant;
        let [tenant, principal, bound_to] = [tenant, principal, bound_to].map(shown);
        let text = format!("enter {backend} {tenant} {principal} {bound_to}");
        let ticket = Sha256::new().chain_update(&self.0).chain_update(text).finalize();
        format!(
            "call mt.enter('{tenant}', '{principal}', '{bound_to}', {backend}, '{}')",
            hex::encode(ticket)
        )
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

/// Whether Postgres has refused a ticket: the database was replaced by another, with another key.
pub(in crate::pg) fn is_refused(error: &SqlxError) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == REFUSED)
}

/// The key, once it was read.
#[derive(Debug, Default)]
pub(in crate::pg) struct KnownKey(RwLock<Option<SealKey>>);

impl KnownKey {
    pub(in crate::pg) fn get(&self) -> Option<SealKey> {
        // No code that may panic runs under it.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::pg) fn learn(&self, key: &SealKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
    }

    /// Has the key read again, unless that has happened since `key` was read.
    pub(in crate::pg) fn forget(&self, key: &SealKey) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() == Some(key) {
            *known = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PrincipalId;

    #[test]
    fn a_ticket_covers_everything_that_is_entered() {
        let (tenant, other) = (TenantId::generate(), TenantId::generate());
        let principal = Principal::new(PrincipalId::generate());
        let stranger = Principal::new(PrincipalId::generate());
        let key = SealKey(vec![7; 16]);
        let calls = [
            key.call(1, Entrant::member(tenant, principal)),
            key.call(2, Entrant::member(tenant, principal)),
            key.call(1, Entrant::member(other, principal)),
            key.call(1, Entrant::member(tenant, stranger)),
            key.call(1, Entrant::service(tenant)),
            key.call(1, Entrant::principal(principal)),
            key.call(1, Entrant::principal(principal.bound_to(tenant))),
            SealKey(vec![8; 16]).call(1, Entrant::member(tenant, principal)),
        ];
        let ticket = |call: &String| call.rsplit('\'').nth(1).unwrap().to_owned();
        let tickets: std::collections::HashSet<_> = calls.iter().map(ticket).collect();
        assert_eq!(tickets.len(), calls.len(), "{calls:?}");
        assert!(tickets.iter().all(|ticket| ticket.len() == 64));
    }

    #[test]
    fn a_key_that_was_read_since_is_kept() {
        let known = KnownKey::default();
        let (old, new) = (SealKey(vec![1]), SealKey(vec![2]));
        known.learn(&old);
        known.learn(&new);
        known.forget(&old);
        assert_eq!(known.get(), Some(new.clone()));
        known.forget(&new);
        assert_eq!(known.get(), None);
        assert_eq!(format!("{new:?}"), "SealKey");
    }
}
