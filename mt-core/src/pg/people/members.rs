//! Members of a tenant, and the owner that always stays.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::roles::{self, MemberRole, NamedRole};
use crate::access::{AccessModel, Permission};
use crate::id::{PrincipalId, RoleId};
use crate::member_policy::{MemberPolicy, holds_each};
use crate::pg::audit_log::{MEMBER_LEFT, MEMBER_REMOVED, MEMBER_ROLE_CHANGED};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::gate;
use crate::pg::{BeginError, LocksTenant, PgError, TenantRead, TenantTx, query_as};
use crate::text_enum::TextEnum as _;

/// A member of the transaction's tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member<R> {
    /// The member's id.
    pub principal: PrincipalId,
    /// Their address.
    pub email: String,
    /// Their role, or the one that their custom role is based on.
    pub role: R,
    /// Their custom role, if they have one.
    pub custom_role: Option<NamedRole>,
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
    role_id: Option<uuid::Uuid>,
    role_name: Option<String>,
    created_at: DateTime<Utc>,
}

/// The columns of a member. A subquery instead of a join: without a custom role, Postgres does not run it.
macro_rules! columns {
    () => {
        "m.principal_id, u.email, m.role, m.role_id, m.created_at, \
         case when m.role_id is not null then (select r.name from mt.roles r \
             where r.tenant_id = m.tenant_id and r.id = m.role_id) end as role_name"
    };
}

impl Row {
    fn into_member<R: crate::text_enum::TextEnum>(self) -> Result<Member<R>, PgError> {
        let role = variant("role", &self.role)?;
        Ok(Member {
            principal: PrincipalId::from_uuid(self.principal_id),
            email: self.email,
            role,
            custom_role: NamedRole::from_columns(self.role_id, self.role_name),
            joined_at: self.created_at,
        })
    }
}

impl<R: crate::text_enum::TextEnum> Member<R> {
    /// Returns the tenant's members in one round trip, newest first, after the one who joined at `before` and is named
    /// there. Two may have joined at once; and it need not be there any more.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn list<P>(
        read: TenantRead<'_, P>,
        before: Option<(DateTime<Utc>, PrincipalId)>,
        limit: i64,
    ) -> Result<Vec<Self>, BeginError>
    where
        P: Permission,
        P::Model: AccessModel<Role = R>,
    {
        let rows = query_as::<Row>(concat!(
            "select ",
            columns!(),
            " from mt.memberships m join mt.users u on u.id = m.principal_id \
             where m.tenant_id = $1 \
                 and ($2::timestamptz is null or (m.created_at, m.principal_id) < ($2, $3)) \
             order by m.created_at desc, m.principal_id desc limit $4"
        ))
        .bind(read.tenant().as_uuid())
        .bind(before.map(|(joined_at, _)| joined_at))
        .bind(before.map(|(_, principal)| principal.as_uuid()))
        .bind(limit)
        .fetch_all(read)
        .await?;
        Ok(rows.into_iter().map(Row::into_member).collect::<Result<_, PgError>>()?)
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
        let row: Option<Row> = sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from mt.memberships m join mt.users u on u.id = m.principal_id \
             where m.tenant_id = $1 and m.principal_id = $2"
        ))
        .bind(tenant)
        .bind(principal.as_uuid())
        .fetch_optional(tx.conn())
        .await?;
        row.map(Row::into_member).transpose()
    }
}

impl<P: Permission, L> TenantTx<P, L>
where
    P::Model: MemberPolicy,
{
    /// Gives `member` another role, built-in or custom, under the rules of [`MemberPolicy`], in a transaction that was
    /// opened [`exclusive`](crate::pg::Begin::exclusive). The caller holds what the role has and, to take a custom role
    /// away, what that one has.
    ///
    /// # Errors
    ///
    /// [`MemberError`], in the order: not found, no such role, not allowed, last owner.
    pub async fn assign_role(
        &mut self,
        member: PrincipalId,
        role: impl Into<MemberRole<RoleOf<P>>>,
    ) -> Result<Member<RoleOf<P>>, MemberError>
    where
        L: LocksTenant,
    {
        let role = role.into();
        let mut found =
            Member::<RoleOf<P>>::find(self, member).await?.ok_or(MemberError::NotFound)?;
        let given = roles::resolve(self, role).await?.ok_or(MemberError::UnknownRole)?;
        let taken = match &found.custom_role {
            None => None,
            Some(custom) => roles::find(self, custom.id).await?.map(|custom| custom.permissions),
        };
        let (role, from) = (given.role(), found.role);
        let may_assign = |by| <P::Model as MemberPolicy>::may_assign(by, from, role);
        if !self.access().each_role(may_assign)
            || !holds_each(
                self.access().permissions(),
                taken.into_iter().chain([given.permissions()]),
            )
        {
            return Err(MemberError::Forbidden);
        }
        let (from_id, to_id) = (found.custom_role.as_ref().map(|custom| custom.id), given.id());
        if found.role == role && from_id == to_id {
            return Ok(found);
        }
        self.keep_an_owner(found.role, Some(role)).await?;
        let tenant = self.tenant();
        gate::close_membership(self.conn(), tenant, member).await?;
        sqlx::query(
            "update mt.memberships set role = $3, is_owner = $4, role_id = $5 \
             where tenant_id = $1 and principal_id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(member.as_uuid())
        .bind(role.as_str())
        .bind(role == <P::Model as MemberPolicy>::OWNER)
        .bind(to_id.map(RoleId::as_uuid))
        .execute(
            self.changing(
                MEMBER_ROLE_CHANGED
                    .on(member.as_uuid())
                    .with("from", found.role)
                    .with_some("from_role_id", from_id.map(RoleId::as_uuid))
                    .with("to", role)
                    .with_some("to_role_id", to_id.map(RoleId::as_uuid)),
            ),
        )
        .await
        .map_err(PgError::from)?;
        (found.role, found.custom_role) = (role, given.named());
        Ok(found)
    }

    /// Removes `member`, or lets the caller leave, under the rules of [`MemberPolicy`], in a transaction that was opened
    /// [`exclusive`](crate::pg::Begin::exclusive). What was assigned to them becomes unassigned where the application's
    /// foreign keys do so.
    ///
    /// # Errors
    ///
    /// [`MemberError`], in the order: not found, not allowed, last owner.
    pub async fn remove_member(&mut self, member: PrincipalId) -> Result<(), MemberError>
    where
        L: LocksTenant,
    {
        let found = Member::<RoleOf<P>>::find(self, member).await?.ok_or(MemberError::NotFound)?;
        let leaving = member == self.principal().id();
        let may_remove = |by| <P::Model as MemberPolicy>::may_remove(by, found.role);
        if !leaving && !self.access().each_role(may_remove) {
            return Err(MemberError::Forbidden);
        }
        self.keep_an_owner(found.role, None).await?;
        let tenant = self.tenant();
        gate::close_membership(self.conn(), tenant, member).await?;
        let action = if leaving { MEMBER_LEFT } else { MEMBER_REMOVED };
        sqlx::query("delete from mt.memberships where tenant_id = $1 and principal_id = $2")
            .bind(tenant.as_uuid())
            .bind(member.as_uuid())
            .execute(self.changing(action.on(member.as_uuid()).with("role", found.role)))
            .await
            .map_err(PgError::from)?;
        Ok(())
    }

    /// Refuses to take the last owner away. The tenant row is held, so the count stands until the
    /// transaction ends.
    async fn keep_an_owner(
        &mut self,
        from: RoleOf<P>,
        to: Option<RoleOf<P>>,
    ) -> Result<(), MemberError>
    where
        L: LocksTenant,
    {
        let owner = <P::Model as MemberPolicy>::OWNER;
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
        if owners > 1 { Ok(()) } else { Err(MemberError::LastOwner) }
    }
}

/// Why a change to the members was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// The caller's role may not do this to that member.
    #[error("role may not change this member")]
    Forbidden,
    /// The tenant would have no owner left.
    #[error("the last owner stays")]
    LastOwner,
    /// No such member here.
    #[error("no such member")]
    NotFound,
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The tenant has no such custom role.
    #[error("no such role")]
    UnknownRole,
}
