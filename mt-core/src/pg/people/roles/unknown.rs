//! Words in custom roles that the program does not have.

use sqlx::FromRow;

use crate::access::AccessModel;
use crate::id::{RoleId, TenantId};
use crate::pg::transaction::opening;
use crate::pg::{PgError, System, SystemReason};
use crate::text_enum::TextEnum;

const LOOK: SystemReason = SystemReason::new("look for permissions that the program does not have");

/// How many are reported. One is enough to stop a start; more help to see what is wrong.
const AT_MOST: i64 = 100;

/// A word in a custom role that the program does not have: a permission, or the role that it is based on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownWord {
    /// The tenant.
    pub tenant: TenantId,
    /// The custom role.
    pub role: RoleId,
    /// The word.
    pub word: String,
}

#[derive(FromRow)]
struct Row {
    tenant_id: uuid::Uuid,
    id: uuid::Uuid,
    word: String,
}

/// Checks that the custom roles of all tenants name only permissions and roles that the program has. A service does so at
/// its start, and does not start otherwise: a permission was renamed or removed while roles name it. At run time such a
/// word grants nothing.
///
/// ```
/// use mt_core::pg::{Database, roles};
/// # mt_core::model! {
/// #     pub Shop;
/// #     roles Role { Owner = "owner" (owner) }
/// #     plans Plan { Free = "free" (initial) }
/// #     permissions Action { OrdersRead = "orders.read" [yes] [yes] exempt read; }
/// # }
///
/// async fn start(database: &Database) -> Result<(), Box<dyn std::error::Error>> {
///     roles::check::<Shop>(&database.system()).await?;
///     // …
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// [`CheckError`], with the tenants.
pub async fn check<M: AccessModel>(system: &System) -> Result<(), CheckError> {
    let (mut tx, _) = system.begin_with(LOOK, opening::of_system_read()).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select r.tenant_id, r.id, w.word from mt.roles r, \
             lateral (select p.word from unnest(r.permissions) p (word) where p.word <> all ($1) \
                 union all select r.based_on where r.based_on <> all ($2)) w \
         order by r.tenant_id, r.id limit $3",
    )
    .bind(words::<M::Permission>())
    .bind(words::<M::Role>())
    .bind(AT_MOST)
    .fetch_all(tx.conn())
    .await
    .map_err(PgError::from)?;
    tx.commit().await?;
    let unknown = |Row { tenant_id, id, word }| UnknownWord {
        tenant: TenantId::from_uuid(tenant_id),
        role: RoleId::from_uuid(id),
        word,
    };
    if rows.is_empty() {
        return Ok(());
    }
    Err(CheckError::Unknown(rows.into_iter().map(unknown).collect()))
}

fn words<T: TextEnum>() -> Vec<&'static str> {
    T::ALL.iter().map(|word| word.as_str()).collect()
}

/// Why the custom roles of all tenants do not pass [`check`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Roles name words that the program does not have. At most 100 are listed. Change the roles, or keep the words.
    #[error("custom roles name what this version does not have: {}", list(.0))]
    Unknown(Vec<UnknownWord>),
}

fn list(unknown: &[UnknownWord]) -> String {
    let each = |UnknownWord { tenant, role, word }: &UnknownWord| {
        format!("`{word}` in role {role} of tenant {tenant}")
    };
    unknown.iter().map(each).collect::<Vec<_>>().join(", ")
}
