//! Sweeps: the work of a service in every tenant.

mod progress;
mod retry;

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU16;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream;
use tokio::time::{MissedTickBehavior, interval};

use self::progress::{Progress, RENEWAL};
use self::retry::while_away;
use crate::access::{AccessModel, DeclaredWith, Permission, Service};
use crate::id::TenantId;
use crate::pg::{BeginError, PgError, ServiceTx, System, Tenants};

impl<M: AccessModel> Tenants<M> {
    /// Visits every tenant once, each in a transaction of the service. See [`ForEachTenant`].
    pub fn for_each_tenant<S, P>(&self) -> ForEachTenant<'_, S, P>
    where
        S: Service<Model = M> + DeclaredWith<P>,
        P: Permission<Model = M>,
    {
        ForEachTenant {
            tenants: self,
            name: S::NAME,
            page: NonZeroU16::new(100).expect("not zero"),
            at_once: NonZeroU16::new(4).expect("not zero"),
            service: PhantomData,
        }
    }
}

/// A sweep: a service's work in every tenant ([`Tenants::for_each_tenant`]).
///
/// Each tenant that lives from the beginning to the end is visited once, in the order of the ids, whatever tenants come and
/// go meanwhile. Tenants that are gone when their turn comes are left out, and so are those that refuse the service:
/// suspended ones, and those that have not paid.
///
/// The database stores how far the sweep has come, after each page of tenants. If the process ends, the next call goes on
/// there, in this process or another: the work of one page may be done twice, so it should be repeatable. One process at a
/// time works on a sweep; it holds a lease of one minute, which it renews.
///
/// While the database restarts, a sweep waits for it, for a minute at most. The transactions that were open then have
/// failed, and are listed in the report.
///
/// ```
/// # use mt_core::billing::StandingPolicy;
/// # use mt_core::email::EmailAddress;
/// # use mt_core::pg::{PgError, SystemReason, Tenant, User, query_scalar};
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
/// let report = tenants
///     .for_each_tenant::<Reporter, OrdersRead>()
///     .run(async |tx| -> Result<(), PgError> {
///         let query = query_scalar::<String>("select name from mt.tenants");
///         println!("{:?}", query.fetch_one(tx.query::<OrdersRead>()).await?);
///         Ok(())
///     })
///     .await?;
/// assert_eq!((report.visited, report.failed.len()), (1, 0));
/// # Ok(()) }
/// ```
#[must_use = "nothing is visited until `run` is called"]
pub struct ForEachTenant<'t, S: Service, P> {
    tenants: &'t Tenants<S::Model>,
    name: &'static str,
    page: NonZeroU16,
    at_once: NonZeroU16,
    service: PhantomData<fn() -> (S, P)>,
}

/// What a sweep has done since it was called. After a crash that is less than the whole sweep.
#[derive(Debug)]
#[must_use = "tenants whose work failed are listed in it"]
pub struct SweepReport<E> {
    /// How many tenants were visited, those with failed work included.
    pub visited: u64,
    /// How many tenants were gone, or refused the service.
    pub left_out: u64,
    /// The tenants whose work failed, with the error. Their changes were rolled back.
    pub failed: Vec<(TenantId, E)>,
}

/// Why a sweep has stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// Another process has taken the sweep over, because this one did not renew its lease in time.
    #[error("another process has taken the sweep over")]
    LeaseLost,
    /// A database error. Once the lease has run out, the next call goes on where this one has stopped.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Another process, or another call in this one, works on the sweep.
    #[error("the sweep is under way elsewhere")]
    UnderWay,
}

/// What became of one tenant.
enum Visit<E> {
    Done,
    LeftOut,
    Failed(E),
}

impl<S, P> ForEachTenant<'_, S, P>
where
    S: Service + DeclaredWith<P>,
    P: Permission<Model = S::Model>,
{
    /// Stores the progress under another name than that of the service, which then may have several sweeps.
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Works on so many tenants at once: four by default.
    pub fn at_once(self, tenants: NonZeroU16) -> Self {
        Self { at_once: tenants, ..self }
    }

    /// Stores the progress after so many tenants: a hundred by default.
    pub fn page(self, tenants: NonZeroU16) -> Self {
        Self { page: tenants, ..self }
    }

    /// Visits the tenants, and returns when all are done. `work` gets a transaction in its tenant, which is committed if it
    /// returns `Ok` and rolled back otherwise. A failure in one tenant does not keep the others waiting.
    ///
    /// # Errors
    ///
    /// [`SweepError`]. A database error of one tenant's transaction is a failure of that tenant.
    pub async fn run<E: From<PgError>>(
        self,
        work: impl AsyncFn(&mut ServiceTx<P>) -> Result<(), E>,
    ) -> Result<SweepReport<E>, SweepError> {
        let system = System::new(self.tenants.authority.pools.clone());
        let mut progress = Progress::begin(&system, self.name).await?;
        let mut report = SweepReport { visited: 0, left_out: 0, failed: Vec::new() };
        loop {
            let page = progress.page(self.page.get()).await?;
            let Some(last) = page.last().copied() else { break };
            let visits = stream::iter(page)
                .map(async |tenant| (tenant, self.visit(tenant, &work).await))
                .buffer_unordered(self.at_once.get().into())
                .collect::<Vec<_>>();
            for (tenant, visit) in while_renewing(&progress, visits).await? {
                report.add(tenant, visit);
            }
            progress.reach(last).await?;
        }
        progress.finish().await?;
        Ok(report)
    }

    async fn visit<E: From<PgError>>(
        &self,
        tenant: TenantId,
        work: &impl AsyncFn(&mut ServiceTx<P>) -> Result<(), E>,
    ) -> Visit<E> {
        let begun = while_away(async || self.tenants.begin_as::<S, P>(tenant).await).await;
        let mut tx = match begun {
            Ok(tx) => tx,
            Err(BeginError::Pg(error)) => return Visit::Failed(error.into()),
            Err(_) => return Visit::LeftOut,
        };
        let done = work(&mut tx).await;
        let ended = match done {
            Ok(()) => tx.commit().await.map_err(E::from),
            Err(error) => {
                // The work's own error is the one to report.
                _ = tx.rollback().await;
                Err(error)
            }
        };
        ended.map_or_else(Visit::Failed, |()| Visit::Done)
    }
}

/// Waits for `visits` and renews the lease meanwhile.
async fn while_renewing<T>(
    progress: &Progress<'_>,
    visits: impl Future<Output = T>,
) -> Result<T, SweepError> {
    let mut visits = std::pin::pin!(visits);
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        let renewed = std::pin::pin!(async {
            ticks.tick().await;
            progress.renew().await
        });
        match select(visits.as_mut(), renewed).await {
            Either::Left((visits, _)) => return Ok(visits),
            // Where the database cannot be asked, the lease may still last; what stores the progress finds out.
            Either::Right((Err(SweepError::Pg(error)), _)) => {
                tracing::warn!(%error, "the lease of a sweep was not renewed");
            }
            Either::Right((renewed, _)) => renewed?,
        }
    }
}

impl<E> SweepReport<E> {
    fn add(&mut self, tenant: TenantId, visit: Visit<E>) {
        match visit {
            Visit::LeftOut => self.left_out += 1,
            Visit::Done => self.visited += 1,
            Visit::Failed(error) => {
                self.visited += 1;
                self.failed.push((tenant, error));
            }
        }
    }
}

impl<S: Service, P> fmt::Debug for ForEachTenant<'_, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEachTenant")
            .field("name", &self.name)
            .field("page", &self.page)
            .field("at_once", &self.at_once)
            .finish_non_exhaustive()
    }
}
