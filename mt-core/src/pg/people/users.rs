//! Users, and signing them out.

use sqlx::FromRow;

use crate::email::EmailAddress;
use crate::id::PrincipalId;
use crate::pg::{PgError, PrincipalTx, SystemTx};

/// A user: a person who has proved to read an e-mail address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The principal that tokens name and memberships hold.
    pub id: PrincipalId,
    /// The address, in canonical form.
    pub email: String,
    /// The session generation; tokens of an earlier one are signed out.
    pub generation: i32,
}

#[derive(FromRow)]
struct Row {
    id: uuid::Uuid,
    email: String,
    generation: i32,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self { id: PrincipalId::from_uuid(row.id), email: row.email, generation: row.generation }
    }
}

impl User {
    /// The user with this address, made on first sight. Two at once make one.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find_or_create(tx: &mut SystemTx, email: &EmailAddress) -> Result<Self, PgError> {
        let row: Row = sqlx::query_as(
            // The update changes nothing; it makes `returning` see the row that was there.
            "insert into mt.users (id, email) values ($1, $2) \
             on conflict (email) do update set email = excluded.email \
             returning id, email, generation",
        )
        .bind(PrincipalId::generate().as_uuid())
        .bind(email.as_str())
        .fetch_one(tx.conn())
        .await?;
        Ok(row.into())
    }

    /// Returns the user with this address, if there is one.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find(tx: &mut SystemTx, email: &EmailAddress) -> Result<Option<Self>, PgError> {
        let row: Option<Row> =
            sqlx::query_as("select id, email, generation from mt.users where email = $1")
                .bind(email.as_str())
                .fetch_optional(tx.conn())
                .await?;
        Ok(row.map(Self::from))
    }

    /// Creates the user with this address, unless there is one. Two at once make one.
    #[cfg(feature = "openid")]
    pub(in crate::pg) async fn create(
        tx: &mut SystemTx,
        email: &EmailAddress,
    ) -> Result<Option<Self>, PgError> {
        let row: Option<Row> = sqlx::query_as(
            "insert into mt.users (id, email) values ($1, $2) on conflict (email) do nothing \
             returning id, email, generation",
        )
        .bind(PrincipalId::generate().as_uuid())
        .bind(email.as_str())
        .fetch_optional(tx.conn())
        .await?;
        Ok(row.map(Self::from))
    }

    /// The caller's own row.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn own(tx: &mut PrincipalTx) -> Result<Self, PgError> {
        let id = tx.principal().id().as_uuid();
        let row: Row = sqlx::query_as("select id, email, generation from mt.users where id = $1")
            .bind(id)
            .fetch_one(tx.conn())
            .await?;
        Ok(row.into())
    }

    /// The address that `id` has proved to read.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn email_of(tx: &mut SystemTx, id: PrincipalId) -> Result<Option<String>, PgError> {
        Ok(sqlx::query_scalar("select email from mt.users where id = $1")
            .bind(id.as_uuid())
            .fetch_optional(tx.conn())
            .await?)
    }

    /// Signs `id` out everywhere: every token issued so far ends at its next transaction.
    ///
    /// That includes tokens of identity providers that were issued in the second of the sign-out or before
    /// ([`Principal::issued_at`](crate::auth::Principal::issued_at)). The session at the provider goes on: to end it
    /// too, call the provider's API.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn sign_out(tx: &mut SystemTx, id: PrincipalId) -> Result<(), PgError> {
        sqlx::query("update mt.users set generation = generation + 1 where id = $1")
            .bind(id.as_uuid())
            .execute(tx.conn())
            .await?;
        Ok(())
    }
}
