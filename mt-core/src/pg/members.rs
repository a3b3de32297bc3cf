//! Members of a tenant, and the owner that always stays.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};

use super::audit_log::{MEMBER_LEFT, MEMBER_REMOVED, MEMBER_ROLE_CHANGED};
use super::decode::word;
use super::{Exclusive, PgError, TenantTx, opening};
use crate::access::{AccessModel, Permission};
use crate::id::PrincipalId;
use crate::roster::Roster;
use crate::word::Word as _;

/// A member of the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member<R> {
    /// Who.
    pub principal: PrincipalId,
    /// Their address.
    pub email: String,
    /// Their role.
    pub role: R,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// The role type of `P`'s model.
type RoleOf<P> = <<P as Permission>::Model as AccessModel>::Role;

#[derive(FromRow)]
struct Row {
    principal_id: uuid::Uuid,
    email: String,
    role: String,
    created_at: DateTime<Utc>,
}

impl Row {
    fn into_member<R: crate::word::Word>(self) -> Result<Member<R>, PgError> {
        let role = word("role", &self.role)?;
        Ok(Member {
            principal: PrincipalId::from_uuid(self.principal_id),
            email: self.email,
            role,
            joined_at: self.created_at,
        })
    }
}

impl<R: crate::word::Word> Member<R> {
    /// The tenant's members, whoever joined last first, after the one who joined at `before` and is named
    /// there. Two may have joined at once; and it need not be there any more.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn list<P, L>(
        tx: &mut TenantTx<P, L>,
        before: Option<(DateTime<Utc>, PrincipalId)>,
        limit: i64,
    ) -> Result<Vec<Self>, PgError>
    where
        P: Permission,
        P::Model: AccessModel<Role = R>,
    {
        let tenant = tx.tenant().as_uuid();
        let rows: Vec<Row> = sqlx::query_as(
            "select m.principal_id, u.email, m.role, m.created_at \
             from mt.memberships m join mt.users u on u.id = m.principal_id \
             where m.tenant_id = $1 \
                 and ($2::timestamptz is null or (m.created_at, m.principal_id) < ($2, $3)) \
             order by m.created_at desc, m.principal_id desc limit $4",
        )
        .bind(tenant)
        .bind(before.map(|(joined_at, _)| joined_at))
        .bind(before.map(|(_, principal)| principal.as_uuid()))
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
        rows.into_iter().map(Row::into_member).collect()
    }

    /// One member, if `principal` is one.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn find<P, L>(
        tx: &mut TenantTx<P, L>,
        principal: PrincipalId,
    ) -> Result<Option<Self>, PgError>
    where
        P: Permission,
        P::Model: AccessModel<Role = R>,
    {
        let tenant = tx.tenant().as_uuid();
        let row: Option<Row> = sqlx::query_as(
            "select m.principal_id, u.email, m.role, m.created_at \
             from mt.memberships m join mt.users u on u.id = m.principal_id \
             where m.tenant_id = $1 and m.principal_id = $2",
        )
        .bind(tenant)
        .bind(principal.as_uuid())
        .fetch_optional(tx.conn())
        .await?;
        row.map(Row::into_member).transpose()
    }
}

impl<P: Permission> TenantTx<P, Exclusive>
where
    P::Model: Roster,
{
    /// Gives `member` another role, under the rules of [`Roster`].
    ///
    /// # Errors
    ///
    /// [`RosterError`], in the order: not found, not allowed, last owner.
    pub async fn assign_role(
        &mut self,
        member: PrincipalId,
        role: RoleOf<P>,
    ) -> Result<Member<RoleOf<P>>, RosterError> {
        let mut found =
            Member::<RoleOf<P>>::find(self, member).await?.ok_or(RosterError::NotFound)?;
        if !<P::Model as Roster>::may_assign(self.access().role(), found.role, role) {
            return Err(RosterError::Forbidden);
        }
        if found.role == role {
            return Ok(found);
        }
        self.keep_an_owner(found.role, Some(role)).await?;
        self.close_gate(member).await?;
        let tenant = self.tenant().as_uuid();
        sqlx::query(
            "update mt.memberships set role = $3, is_owner = $4 \
             where tenant_id = $1 and principal_id = $2",
        )
        .bind(tenant)
        .bind(member.as_uuid())
        .bind(role.as_str())
        .bind(role == <P::Model as Roster>::OWNER)
        .execute(self.changing(
            MEMBER_ROLE_CHANGED.on(member.as_uuid()).with("from", found.role).with("to", role),
        ))
        .await
        .map_err(PgError::from)?;
        found.role = role;
        Ok(found)
    }

    /// Removes `member`, or lets the caller leave, under the rules of [`Roster`]. What was assigned to
    /// them becomes unassigned where the application's foreign keys say so.
    ///
    /// # Errors
    ///
    /// [`RosterError`], in the order: not found, not allowed, last owner.
    pub async fn remove_member(&mut self, member: PrincipalId) -> Result<(), RosterError> {
        let found = Member::<RoleOf<P>>::find(self, member).await?.ok_or(RosterError::NotFound)?;
        let leaving = member == self.principal().id();
        if !leaving && !<P::Model as Roster>::may_remove(self.access().role(), found.role) {
            return Err(RosterError::Forbidden);
        }
        self.keep_an_owner(found.role, None).await?;
        self.close_gate(member).await?;
        let tenant = self.tenant().as_uuid();
        let action = if leaving { MEMBER_LEFT } else { MEMBER_REMOVED };
        sqlx::query("delete from mt.memberships where tenant_id = $1 and principal_id = $2")
            .bind(tenant)
            .bind(member.as_uuid())
            .execute(self.changing(action.on(member.as_uuid()).with("role", found.role)))
            .await
            .map_err(PgError::from)?;
        Ok(())
    }

    /// Waits for the writes of `member` that are under way and keeps new ones out until this
    /// transaction ends.
    async fn close_gate(&mut self, member: PrincipalId) -> Result<(), PgError> {
        let gate = opening::gate("$1::uuid", "$2::uuid");
        let tenant = self.tenant().as_uuid();
        sqlx::query(AssertSqlSafe(format!("select pg_advisory_xact_lock({gate})")))
            .bind(tenant)
            .bind(member.as_uuid())
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Refuses to take the last owner away. The tenant row is held, so the count stands until the
    /// transaction ends.
    async fn keep_an_owner(
        &mut self,
        from: RoleOf<P>,
        to: Option<RoleOf<P>>,
    ) -> Result<(), RosterError> {
        let owner = <P::Model as Roster>::OWNER;
        if from != owner || to == Some(owner) {
            return Ok(());
        }
        let tenant = self.tenant().as_uuid();
        let owners: i64 = sqlx::query_scalar(
            "select count(*) from ( \
                 select 1 from mt.memberships where tenant_id = $1 and is_owner limit 2) owners",
        )
        .bind(tenant)
        .fetch_one(self.conn())
        .await
        .map_err(PgError::from)?;
        if owners > 1 { Ok(()) } else { Err(RosterError::LastOwner) }
    }
}

/// Why a change to the members was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// The caller's role may not do this to that member.
    #[error("role may not change this member")]
    Forbidden,
    /// The tenant would have no owner left.
    #[error("the last owner stays")]
    LastOwner,
    /// No such member here.
    #[error("no such member")]
    NotFound,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
}
