//! Custom roles: roles that a tenant makes itself, beside those of the program.
//!
//! A custom role is a set of the program's permissions under a name of the tenant's. It is based on a built-in role, which
//! is not the owner's and does not change: the rules about members ([`MemberPolicy`](crate::member_policy::MemberPolicy))
//! and about rows go by that one, and [`Access::role`](crate::access::Access::role) returns it. What its holders may do
//! is the set of the custom role, and nothing else. Handlers and [`Grant`](crate::access::Grant) do not change.
//!
//! A caller makes, changes and deletes a role, assigns it, and invites with it only if they hold each permission that it
//! has, before and after. When an invite is accepted, the same is asked of its maker, as both are at that moment.
//!
//! A change of a role counts from the next transaction of each holder. Writes that are under way are waited for: once the
//! change is committed, none commits with a permission that it took away.
//!
//! ```
//! use mt_core::access::{AccessRequest, PermissionSet};
//! use mt_core::auth::Principal;
//! use mt_core::billing::StandingPolicy;
//! use mt_core::email::EmailAddress;
//! use mt_core::pg::roles::{self, NewRole};
//! use mt_core::pg::{SystemReason, Tenant, User};
//! use mt_core::testing::TestDatabase;
//!
//! mt_core::model! {
//!     pub Shop;
//!     roles Role { Owner = "owner" (owner), Clerk = "clerk" }
//!     plans Plan { Free = "free" (initial) }
//!     permissions Action {
//!         LogRead = "log.read"           [yes no]  [yes] exempt read;
//!         OrdersRead = "orders.read"     [yes yes] [yes] exempt read;
//!         RolesManage = "roles.manage"   [yes no]  [yes] exempt write;
//!     }
//! }
//!
//! # const EXAMPLE: SystemReason = SystemReason::new("show custom roles");
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
//! # let db = TestDatabase::create().await?;
//! # let database = db.connect(2).await?;
//! # let mut tx = database.system().begin(EXAMPLE).await?;
//! # let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
//! # let shop = Tenant::create::<Shop>(&mut tx, "a shop", ada.id).await?;
//! # tx.commit().await?;
//! let tenants = database.tenants::<Shop>(StandingPolicy::default());
//! let request = AccessRequest::<RolesManage>::new(Principal::new(ada.id), shop.id);
//! let mut tx = tenants.begin(request).exclusive().await?;
//! let permissions = PermissionSet::parse(["log.read"])?;
//! let auditor = NewRole { name: "Auditor", based_on: Role::Clerk, permissions };
//! let auditor = roles::create(&mut tx, auditor).await?;
//! tx.commit().await?;
//!
//! let read = AccessRequest::<LogRead>::new(Principal::new(ada.id), shop.id);
//! assert_eq!(roles::list(tenants.read(read)).await?, [auditor]);
//! # Ok(()) }
//! ```

mod change;
mod create;
mod delete;
mod member_role;
mod unknown;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

pub use self::change::{RoleChange, change};
pub use self::create::{MAX_ROLES, NewRole, create};
pub use self::delete::delete;
pub(super) use self::member_role::FoundRole;
pub use self::member_role::{MemberRole, NamedRole};
pub use self::unknown::{CheckError, UnknownWord, check};
use crate::access::{AccessModel, Permission, PermissionSet};
use crate::id::{RoleId, TenantId};
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::opening;
use crate::pg::{BeginError, PgError, System, SystemReason, TenantRead, TenantTx, query_as};

/// A role that the transaction's tenant made.
pub struct CustomRole<M: AccessModel> {
    /// The id.
    pub id: RoleId,
    /// The name, which no other custom role of the tenant has.
    pub name: String,
    /// The built-in role whose rules about members and rows it has.
    pub based_on: M::Role,
    /// What its holders may do.
    pub permissions: PermissionSet<M>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: uuid::Uuid,
    name: String,
    based_on: String,
    permissions: Vec<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn into_role<M: AccessModel>(self) -> Result<CustomRole<M>, PgError> {
        let permissions = self.permissions.iter().map(String::as_str);
        Ok(CustomRole {
            id: RoleId::from_uuid(self.id),
            name: self.name,
            based_on: variant("based_on", &self.based_on)?,
            permissions: PermissionSet::of_known(permissions),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

const OF_TENANT: &str = "select id, name, based_on, permissions, created_at, updated_at \
     from mt.roles where tenant_id = $1 order by name";

/// Returns the tenant's custom roles in one round trip, by name. There are at most [`MAX_ROLES`].
///
/// # Errors
///
/// [`BeginError`].
pub async fn list<P: Permission>(
    read: TenantRead<'_, P>,
) -> Result<Vec<CustomRole<P::Model>>, BeginError> {
    let rows = query_as::<Row>(OF_TENANT).bind(read.tenant().as_uuid()).fetch_all(read).await?;
    Ok(rows.into_iter().map(Row::into_role).collect::<Result<_, PgError>>()?)
}

/// Returns the custom roles of `tenant` by name, for an operator; `None` if there is no such tenant.
///
/// # Errors
///
/// [`PgError`].
pub async fn of_tenant<M: AccessModel>(
    system: &System,
    reason: SystemReason,
    tenant: TenantId,
) -> Result<Option<Vec<CustomRole<M>>>, PgError> {
    let (mut tx, _) = system.begin_with(reason, opening::of_system_read()).await?;
    let found: bool = sqlx::query_scalar("select exists (select from mt.tenants where id = $1)")
        .bind(tenant.as_uuid())
        .fetch_one(tx.conn())
        .await?;
    let rows: Vec<Row> =
        sqlx::query_as(OF_TENANT).bind(tenant.as_uuid()).fetch_all(tx.conn()).await?;
    tx.commit().await?;
    let roles = rows.into_iter().map(Row::into_role).collect::<Result<_, PgError>>()?;
    Ok(found.then_some(roles))
}

/// Returns one custom role, if the tenant has it.
///
/// # Errors
///
/// [`PgError`].
pub async fn find<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    role: RoleId,
) -> Result<Option<CustomRole<P::Model>>, PgError> {
    let tenant = tx.tenant().as_uuid();
    let row: Option<Row> = sqlx::query_as(
        "select id, name, based_on, permissions, created_at, updated_at \
         from mt.roles where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(role.as_uuid())
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::into_role).transpose()
}

/// Finds the custom role, if it is one; `None` if the tenant does not have it.
pub(super) async fn resolve<P: Permission, L>(
    tx: &mut TenantTx<P, L>,
    role: MemberRole<<P::Model as AccessModel>::Role>,
) -> Result<Option<FoundRole<P::Model>>, PgError> {
    match role {
        MemberRole::BuiltIn(role) => Ok(Some(FoundRole::BuiltIn(role))),
        MemberRole::Custom(id) => Ok(find(tx, id).await?.map(FoundRole::Custom)),
    }
}

/// Why a change to the custom roles was refused. The transaction cannot go on after [`RoleError::NameTaken`]: begin
/// another one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The caller does not hold a permission that the role has, or had; or the role would be based on the owners' role.
    #[error("the role has a permission that the caller does not hold")]
    Forbidden,
    /// Members or open invites have the role. Give them another one first.
    #[error("{members} members and {invites} open invites have the role")]
    InUse {
        /// The number of members.
        members: u64,
        /// The number of invites that may yet be accepted.
        invites: u64,
    },
    /// Another role of the tenant, or a built-in one, has the name.
    #[error("another role has this name")]
    NameTaken,
    /// No such custom role here.
    #[error("no such role")]
    NotFound,
    /// A database error.
    #[error(transparent)]
    Pg(PgError),
    /// The tenant has [`MAX_ROLES`] custom roles.
    #[error("a tenant has at most {MAX_ROLES} custom roles")]
    TooMany,
}

impl From<PgError> for RoleError {
    fn from(error: PgError) -> Self {
        match error.constraint() {
            Some("roles_name_key") => Self::NameTaken,
            _ => Self::Pg(error),
        }
    }
}

/// The texts of a set, in the order of declaration.
fn texts<M: AccessModel>(set: PermissionSet<M>) -> Vec<&'static str> {
    set.iter().map(crate::text_enum::TextEnum::as_str).collect()
}

/// Whether a built-in role has the name, in any case of its letters.
fn is_built_in<M: AccessModel>(name: &str) -> bool {
    let roles = <M::Role as crate::text_enum::TextEnum>::ALL;
    roles.iter().any(|role| crate::text_enum::TextEnum::as_str(*role).eq_ignore_ascii_case(name))
}

// Not derived: a derive would ask the same of `M`, and models are bare markers.
impl<M: AccessModel> Clone for CustomRole<M> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), ..*self }
    }
}

impl<M: AccessModel> PartialEq for CustomRole<M> {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, name, based_on, permissions, created_at, updated_at } = self;
        (id, name, based_on, permissions, created_at, updated_at)
            == (
                &other.id,
                &other.name,
                &other.based_on,
                &other.permissions,
                &other.created_at,
                &other.updated_at,
            )
    }
}

impl<M: AccessModel> Eq for CustomRole<M> {}

impl<M: AccessModel> std::fmt::Debug for CustomRole<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomRole")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("based_on", &self.based_on)
            .field("permissions", &self.permissions)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .finish()
    }
}
