//! Opening transactions in one tenant.

use std::fmt;

use super::authority::Authority;
use super::begin::Begin;
use super::tenant_read::TenantRead;
use crate::access::{
    Access, AccessError, AccessModel, AccessRequest, AccessSource, Permission, Reads,
};
use crate::auth::Principal;
use crate::billing::StandingPolicy;
use crate::id::TenantId;
use crate::pg::connection::pools::Pools;
use crate::shares::Shares;

/// Opens transactions that see one tenant, each for an [`AccessRequest`]
/// ([`Database::tenants`](crate::pg::Database::tenants)).
///
/// Opening one reads the caller's membership and decides, on the facts as they stand *in that transaction* and in the
/// same round trip. After a demotion, a removal, a sign-out, a suspension or a lapse nothing opens, on any replica.
///
/// It is an [`AccessSource`] too, for guards that decide where there is no transaction.
pub struct Tenants<M: AccessModel> {
    pub(in crate::pg) authority: Authority<M>,
}

impl<M: AccessModel> Tenants<M> {
    pub(in crate::pg) fn new(pools: Pools, standing: StandingPolicy) -> Self {
        Self { authority: Authority::new(pools, standing) }
    }

    /// The shares that tenants and principals have of the connections.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        self.authority.pools.shares()
    }

    /// Opens a transaction that sees the requested tenant and no other, if the check of the permission succeeds in it.
    ///
    /// Await what it returns; [`Begin`] has options. A transaction that reads is `read only` in Postgres. One that writes
    /// holds the caller's membership `for share`: once a demotion or removal has returned, no write under the old role can
    /// commit.
    ///
    /// ```
    /// # use mt_core::access::AccessRequest;
    /// # use mt_core::auth::Principal;
    /// # use mt_core::billing::StandingPolicy;
    /// # use mt_core::email::EmailAddress;
    /// # use mt_core::pg::{SystemReason, Tenant, User};
    /// # use mt_core::testing::TestDatabase;
    /// # mt_core::model! {
    /// #     pub Shop;
    /// #     roles Role { Owner = "owner" (owner) }
    /// #     plans Plan { Free = "free" (initial) }
    /// #     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
    /// # }
    /// # const SETUP: SystemReason = SystemReason::new("set an example up");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if std::env::var_os("MT_TEST_DATABASE_URL").is_none() { return Ok(()) }
    /// # let db = TestDatabase::create().await?;
    /// # let database = db.connect(2).await?;
    /// # let mut tx = database.system().begin(SETUP).await?;
    /// # let ada = User::find_or_create(&mut tx, &EmailAddress::parse("ada@example.org")?).await?;
    /// # let shop = Tenant::create::<Shop>(&mut tx, "Ada's shop", ada.id).await?;
    /// # tx.commit().await?;
    /// let tenants = database.tenants::<Shop>(StandingPolicy::default());
    /// let request = AccessRequest::<OrdersRead>::new(Principal::new(ada.id), shop.id);
    /// let mut tx = tenants.begin(request).await?;
    /// let names: Vec<String> = sqlx::query_scalar("select name from mt.tenants")
    ///     .fetch_all(tx.query::<OrdersRead>())
    ///     .await?;
    /// assert_eq!(names, ["Ada's shop"]);
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`BeginError`](crate::pg::BeginError); nothing is left open then.
    pub fn begin<P: Permission<Model = M>>(
        &self,
        request: impl Into<AccessRequest<P>>,
    ) -> Begin<'_, P> {
        Begin::new(&self.authority, request.into())
    }

    /// Runs one query in a transaction of its own, which checks the permission. See [`TenantRead`].
    pub fn read<P: Permission<Model = M, Effect = Reads>>(
        &self,
        request: impl Into<AccessRequest<P>>,
    ) -> TenantRead<'_, P> {
        TenantRead::new(&self.authority, request.into())
    }

    /// Loads what `principal` may do in `tenant`, in one round trip; in none for a
    /// credential that is bound to another tenant.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn load_access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        self.authority.load_access(principal, tenant).await
    }
}

impl<M: AccessModel> AccessSource<M> for Tenants<M> {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<M>, AccessError> {
        self.load_access(principal, tenant).await
    }

    fn recent(&self, principal: Principal, tenant: TenantId) -> Option<Access<M>> {
        self.authority.recent.get(principal, tenant)
    }
}

impl<M: AccessModel> Clone for Tenants<M> {
    fn clone(&self) -> Self {
        Self { authority: self.authority.clone() }
    }
}

impl<M: AccessModel> fmt::Debug for Tenants<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").finish_non_exhaustive()
    }
}
