//! Identities at identity providers, each linked to a user.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::auth::identity_name::is_storable;
use crate::id::{IdentityId, PrincipalId};
use crate::pg::{PgError, SystemTx};

/// An identity: a subject of an issuer, and the user whom it is linked to.
///
/// A token of the subject signs that user in. A user may have several identities, also at one issuer.
///
/// ```
/// use mt_core::id::PrincipalId;
/// use mt_core::pg::{Identity, LinkError, PgError, SystemTx};
///
/// async fn move_to_clerk(tx: &mut SystemTx, user: PrincipalId, sub: &str) -> Result<(), LinkError> {
///     Identity::link(tx, user, "https://clerk.acme.example", sub).await?;
///     Ok(())
/// }
///
/// async fn leave_clerk(tx: &mut SystemTx, user: PrincipalId) -> Result<(), PgError> {
///     for identity in Identity::of_user(tx, user).await? {
///         Identity::unlink(tx, user, identity.id).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The id of the link. Linking again makes a new one.
    pub id: IdentityId,
    /// The user.
    pub principal: PrincipalId,
    /// The issuer, exactly as its tokens name it in `iss`.
    pub issuer: String,
    /// The subject: the issuer's name for the user.
    pub subject: String,
    /// When it was linked.
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: uuid::Uuid,
    principal_id: uuid::Uuid,
    issuer: String,
    subject: String,
    created_at: DateTime<Utc>,
}

impl From<Row> for Identity {
    fn from(row: Row) -> Self {
        Self {
            id: IdentityId::from_uuid(row.id),
            principal: PrincipalId::from_uuid(row.principal_id),
            issuer: row.issuer,
            subject: row.subject,
            created_at: row.created_at,
        }
    }
}

impl Identity {
    /// Returns the identity of `subject` at `issuer`, if it is linked.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find(
        tx: &mut SystemTx,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Self>, PgError> {
        let row: Option<Row> = sqlx::query_as(
            "select id, principal_id, issuer, subject, created_at from mt.identities \
             where issuer = $1 and subject = $2",
        )
        .bind(issuer)
        .bind(subject)
        .fetch_optional(tx.conn())
        .await?;
        Ok(row.map(Self::from))
    }

    /// Returns the identities of a user, the oldest first.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn of_user(tx: &mut SystemTx, user: PrincipalId) -> Result<Vec<Self>, PgError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select id, principal_id, issuer, subject, created_at from mt.identities \
             where principal_id = $1 order by id",
        )
        .bind(user.as_uuid())
        .fetch_all(tx.conn())
        .await?;
        Ok(rows.into_iter().map(Self::from).collect())
    }

    /// Links `subject` of `issuer` to a user, and returns the identity. A link that exists already is returned.
    ///
    /// The caller must have proved to be both: the user and the subject.
    ///
    /// # Errors
    ///
    /// [`LinkError::Taken`] when it is linked to another user, [`LinkError::Malformed`] for texts that no provider uses,
    /// [`LinkError::Pg`], also for an unknown user.
    pub async fn link(
        tx: &mut SystemTx,
        user: PrincipalId,
        issuer: &str,
        subject: &str,
    ) -> Result<Self, LinkError> {
        if !is_storable(issuer) || !is_storable(subject) {
            return Err(LinkError::Malformed);
        }
        loop {
            let row: Option<Row> = sqlx::query_as(
                "insert into mt.identities (issuer, subject, id, principal_id) \
                 values ($1, $2, $3, $4) on conflict (issuer, subject) do nothing \
                 returning id, principal_id, issuer, subject, created_at",
            )
            .bind(issuer)
            .bind(subject)
            .bind(IdentityId::generate().as_uuid())
            .bind(user.as_uuid())
            .fetch_optional(tx.conn())
            .await
            .map_err(PgError::from)?;
            if let Some(row) = row {
                return Ok(row.into());
            }
            match Self::find(tx, issuer, subject).await? {
                Some(linked) if linked.principal == user => return Ok(linked),
                Some(_) => return Err(LinkError::Taken),
                // Unlinked in between.
                None => {}
            }
        }
    }

    /// Unlinks an identity of `user`, and returns whether it was linked. Its tokens open no transaction from the commit
    /// on.
    ///
    /// The user stays, and so do other credentials of the user.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn unlink(
        tx: &mut SystemTx,
        user: PrincipalId,
        id: IdentityId,
    ) -> Result<bool, PgError> {
        let done = sqlx::query("delete from mt.identities where id = $1 and principal_id = $2")
            .bind(id.as_uuid())
            .bind(user.as_uuid())
            .execute(tx.conn())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// The error when an identity was not linked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The issuer or the subject is empty, longer than 255 bytes, or has control characters.
    #[error("issuer and subject need 1 to 255 bytes without control characters")]
    Malformed,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The identity is linked to another user; unlink it there first.
    #[error("the identity is linked to another user")]
    Taken,
}
