//! Opening transactions of services.

use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::authority::BeginError;
use super::facts;
use super::open_tx::{End, OpenTx};
use super::opening;
use super::tenant_tx::{ServiceTx, TenantTx};
use super::tenants::Tenants;
use crate::access::{AccessModel, DeclaredWith, Permission, PermissionEffect as _, Service};
use crate::id::{PrincipalId, TenantId};
use crate::pg::PgError;
use crate::shares::{Priority, Requester};

impl<M: AccessModel> Tenants<M> {
    /// Opens a transaction of a service in `tenant`, without a user.
    ///
    /// The service has to be [declared](Service) with the permission; anything else does not compile. The facts of the
    /// tenant are read and decided on in the message that opens the transaction, as for members: a tenant that is suspended,
    /// deleted or has not paid refuses. A suspension or deletion waits for a transaction that writes. The audit log names the
    /// service.
    ///
    /// The connection comes out of the tenant's share, and out of the share that one principal has in all tenants together
    /// ([`shares`](crate::shares)), so a service that works on many tenants at once leaves connections to requests.
    ///
    /// ```
    /// # use mt_core::billing::StandingPolicy;
    /// # use mt_core::email::EmailAddress;
    /// # use mt_core::pg::{SystemReason, Tenant, User, query_scalar};
    /// # use mt_core::testing::TestDatabase;
    /// # const SETUP: SystemReason = SystemReason::new("set an example up");
    /// mt_core::model! {
    ///     pub Shop;
    ///     roles Role { Owner = "owner" (owner) }
    ///     plans Plan { Free = "free" (initial) }
    ///     permissions Permission { OrdersRead = "orders.read" [yes] [yes] exempt read; }
    ///     services { Reporter = "reporter" [OrdersRead]; }
    /// }
    ///
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
    /// let mut tx = tenants.begin_as::<Reporter, OrdersRead>(shop.id).await?;
    /// let names: Vec<String> =
    ///     query_scalar("select name from mt.tenants").fetch_all(tx.query::<OrdersRead>()).await?;
    /// assert_eq!(names, ["Ada's shop"]);
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`BeginError::NotAMember`] when the tenant does not exist; [`BeginError::Denied`]; [`BeginError::Pg`].
    pub async fn begin_as<S, P>(&self, tenant: TenantId) -> Result<ServiceTx<P>, BeginError>
    where
        S: Service<Model = M> + DeclaredWith<P>,
        P: Permission<Model = M>,
    {
        let authority = &self.authority;
        let isolation = authority.pools.settings().isolation;
        let by =
            Requester::Member { tenant, principal: share_of(S::NAME), priority: Priority::Normal };
        let begin = opening::of_service(tenant, P::Effect::VALUE, isolation).by(by);
        let (tx, rows) = OpenTx::begin(&authority.pools, &begin).await?;
        let found = facts::read_for_service::<S>(&rows, tenant, authority.standing());
        let decided = match found.map_err(PgError::from) {
            Ok(Some(access)) => access.check::<P>().map(|()| access).map_err(BeginError::from),
            Ok(None) => Err(BeginError::NotAMember),
            Err(error) => Err(error.into()),
        };
        match decided {
            Ok(access) => Ok(TenantTx::new(tx, access, None, Ok(None))),
            Err(error) => {
                tx.end(End::Rollback).await?;
                Err(error)
            }
        }
    }
}

/// The principal whose share of the connections a service uses: the same in every process, and no user's.
fn share_of(service: &str) -> PrincipalId {
    let digest: [u8; 32] = Sha256::digest(service).into();
    let bytes = std::array::from_fn(|place| digest[place]);
    PrincipalId::from_uuid(Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::share_of;

    #[test]
    fn services_have_shares_of_their_own() {
        assert_eq!(share_of("reporter"), share_of("reporter"));
        assert_ne!(share_of("reporter"), share_of("sweeper"));
        assert_eq!(share_of("reporter").as_uuid().get_version_num(), 8);
    }
}
