//! Deleting a user: what operators do.
//!
//! The order of locks is: the turn at the links of the address, which signing in takes first too; tenant rows and gates, as
//! everywhere; the row of the user. While that is held, no tenant gains the user as a member.

use sqlx::Executor as _;
use uuid::Uuid;

use crate::id::{PrincipalId, TenantId};
use crate::pg::audit_log::{Fact, MEMBER_REMOVED};
use crate::pg::people::magic_links;
use crate::pg::transaction::gate;
use crate::pg::{PgError, SystemTx, User};

impl User {
    /// Deletes `user`, and returns the tenants of which they were a member; `None` if there is no such user.
    ///
    /// The memberships, [identities](crate::pg::Identity), sign-in links and stored responses of the user are deleted, and the
    /// invites to the address that were accepted, revoked or have expired. From the commit on, no token of the user opens a
    /// transaction. Writes of the user that are under way are waited for. Each tenant gets an audit entry
    /// ([`MEMBER_REMOVED`] with the fact `user_deleted`).
    ///
    /// Audit entries stay, and name the user by id alone. These stay too:
    ///
    /// * open invites to the address, which are their tenants' own and end by themselves
    ///   ([`invites::purge`](crate::pg::invites::purge)). Those that the user has made are void;
    /// * messages in the outbox, and rows of the application without a foreign key to `mt.memberships` or `mt.users`;
    /// * keyed hashes of the networks that the address signed in from ([`User::purge_networks`]).
    ///
    /// A person who reads the address can sign up again, as a new user. So can the holder of a token of an identity
    /// provider, if `FirstSight` lets it create users; block the account at the provider first.
    ///
    /// ```
    /// use mt_core::email::EmailAddress;
    /// use mt_core::pg::audit_log::Actor;
    /// use mt_core::pg::{DeleteUserError, SystemReason, User};
    /// use mt_core::testing::TestDatabase;
    ///
    /// const DELETE: SystemReason = SystemReason::new("an operator deletes a user");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
    /// # let db = TestDatabase::create().await?;
    /// # let database = db.connect(1).await?;
    /// let address = EmailAddress::parse("ada@example.org")?;
    /// # let mut tx = database.system().begin(DELETE).await?;
    /// # User::find_or_create(&mut tx, &address).await?;
    /// # tx.commit().await?;
    /// let mut tx = database.system().begin(DELETE).await?;
    /// tx.act_as(Actor::operator("grace"));
    /// let ada = User::find(&mut tx, &address).await?.ok_or("no such user")?;
    /// match User::delete(&mut tx, ada.id).await {
    ///     Ok(left) => {
    ///         tx.commit().await?;
    ///         assert_eq!(left, Some(vec![]), "a user of no tenant");
    ///     }
    ///     Err(DeleteUserError::LastOwner { tenants }) => println!("hand over or delete first: {tenants:?}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeleteUserError::LastOwner`] while a tenant has no other owner; [`DeleteUserError::Pg`], also when a foreign key of
    /// the application keeps the membership. Nothing is deleted then.
    pub async fn delete(
        tx: &mut SystemTx,
        user: PrincipalId,
    ) -> Result<Option<Vec<TenantId>>, DeleteUserError> {
        let Some(email) = Self::email_of(tx, user).await? else { return Ok(None) };
        magic_links::take_turn(tx, &email).await?;
        if !lock(tx, user).await? {
            return Ok(None);
        }
        let last_owner_of: Vec<Uuid> = sqlx::query_scalar(
            "select m.tenant_id from mt.memberships m \
             where m.principal_id = $1 and m.is_owner and not exists ( \
                 select from mt.memberships o \
                 where o.tenant_id = m.tenant_id and o.is_owner and o.principal_id <> $1) \
             order by m.tenant_id",
        )
        .bind(user.as_uuid())
        .fetch_all(tx.conn())
        .await
        .map_err(PgError::from)?;
        if !last_owner_of.is_empty() {
            let tenants = last_owner_of.into_iter().map(TenantId::from_uuid).collect();
            return Err(DeleteUserError::LastOwner { tenants });
        }
        Ok(Some(delete_locked(tx, user, &email).await?))
    }
}

/// Locks the tenants of `user`, waits for writes under way and locks the user. Returns whether the user is there.
///
/// The tenants have to be locked before the user, and only the lock of the user keeps further tenants away. So if one came
/// in between, it begins again.
async fn lock(tx: &mut SystemTx, user: PrincipalId) -> Result<bool, PgError> {
    loop {
        tx.own().execute("savepoint mt_user").await?;
        let tenants = tenants_of(tx, user).await?;
        sqlx::query("select 1 from mt.tenants where id = any ($1) order by id for no key update")
            .bind(&tenants)
            .execute(tx.conn())
            .await?;
        gate::close_memberships(tx.conn(), &tenants, user).await?;
        let found = sqlx::query("select 1 from mt.users where id = $1 for update")
            .bind(user.as_uuid())
            .fetch_optional(tx.conn())
            .await?;
        if tenants_of(tx, user).await?.iter().all(|tenant| tenants.contains(tenant)) {
            tx.own().execute("release savepoint mt_user").await?;
            return Ok(found.is_some());
        }
        tx.own().execute("rollback to savepoint mt_user; release savepoint mt_user").await?;
    }
}

async fn tenants_of(tx: &mut SystemTx, user: PrincipalId) -> Result<Vec<Uuid>, PgError> {
    let sql = "select tenant_id from mt.memberships where principal_id = $1";
    Ok(sqlx::query_scalar(sql).bind(user.as_uuid()).fetch_all(tx.conn()).await?)
}

/// Deletes a user whose tenants are locked, and returns the tenants.
async fn delete_locked(
    tx: &mut SystemTx,
    user: PrincipalId,
    email: &str,
) -> Result<Vec<TenantId>, PgError> {
    let left: Vec<(Uuid, String)> = sqlx::query_as(
        "delete from mt.memberships where principal_id = $1 returning tenant_id, role",
    )
    .bind(user.as_uuid())
    .fetch_all(tx.conn())
    .await?;
    sqlx::query("delete from mt.magic_links where email = $1")
        .bind(email)
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "delete from mt.invites where email = $1 \
             and (accepted_at is not null or revoked_at is not null or expires_at <= now())",
    )
    .bind(email)
    .execute(tx.conn())
    .await?;
    // The foreign keys delete identities and stored responses.
    sqlx::query("delete from mt.users where id = $1")
        .bind(user.as_uuid())
        .execute(tx.conn())
        .await?;
    let mut tenants = Vec::new();
    for (tenant, role) in left {
        let tenant = TenantId::from_uuid(tenant);
        let removed = MEMBER_REMOVED.on(user.as_uuid()).with("role", Fact::of_word(&role));
        tx.record(tenant, removed.with("user_deleted", true));
        tenants.push(tenant);
    }
    tenants.sort_unstable();
    Ok(tenants)
}

/// The error when a user was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteUserError {
    /// Tenants would have no owner left. Give each another owner, or delete it.
    #[error("the user is the last owner of {}", list(.tenants))]
    LastOwner {
        /// The tenants.
        tenants: Vec<TenantId>,
    },
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}

fn list(tenants: &[TenantId]) -> String {
    tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
