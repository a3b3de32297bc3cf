//! A tenant whose requests meet connection faults.

use std::time::Duration;

use mt_core::access::AccessError;
use mt_core::auth::Principal;
use mt_core::billing::StandingPolicy;
use mt_core::id::TenantId;
use mt_core::pg::{BeginError, Database, DatabaseOptions, PgError, Tenants, query_scalar};
use mt_core::shares::Shares;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{ALL_NOTES, Acme, NotesRead, NotesWrite, World, all_notes, write_note};

/// A tenant with one note, and the pool that its requests use.
pub(super) struct Fixture {
    pub(super) world: World,
    pub(super) owner: Principal,
    pub(super) tenant: TenantId,
}

impl Fixture {
    pub(super) async fn new(connections: u32) -> Self {
        let mut world = World::without_shares(connections).await;
        // One login, so that one pool has all the connections that are counted.
        let options = DatabaseOptions::new(world.db.login()).max_connections(connections);
        world.database = Database::connect(options.shares(Shares::of(1000))).await.unwrap();
        world.tenants = world.database.tenants(StandingPolicy::default());
        let owner = world.user("a").await;
        let tenant = world.tenant(owner).await;
        let fixture = Self { world, owner, tenant };
        fixture.write("one").await.unwrap();
        fixture
    }

    pub(super) async fn read(&self) -> Result<Vec<String>, BeginError> {
        read(&self.world.tenants, self.owner, self.tenant).await
    }

    pub(super) async fn write(&self, text: &str) -> Result<(), BeginError> {
        let tenants = &self.world.tenants;
        let grant = tenants.load_access(self.owner, self.tenant).await.map_err(unavailable)?;
        let mut tx = tenants.begin(grant.authorize::<NotesWrite>().unwrap()).await?;
        write_note(&mut tx, text).await;
        Ok(tx.commit().await?)
    }

    /// Fills the pool with connections that know every statement of a read.
    pub(super) async fn warm(&self, connections: usize) {
        let grants = std::iter::repeat_with(|| async {
            let grant = self.world.grant::<NotesRead>(self.owner, self.tenant).await;
            self.world.tenants.begin(grant).await.unwrap()
        });
        let open = futures_util::future::join_all(grants.take(connections)).await;
        for mut tx in open {
            all_notes(&mut tx).await;
            tx.commit().await.unwrap();
        }
        for _ in 0..connections {
            self.read().await.unwrap();
        }
        assert_eq!(self.world.database.pool_stats().idle, u32::try_from(connections).unwrap());
    }

    /// Ends every connection of the server's logins, and waits until they are gone.
    pub(super) async fn end_connections(&self) {
        let theirs = "datname = current_database() and starts_with(usename, current_database())";
        let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where {theirs}");
        self.world.db.admin().execute(AssertSqlSafe(end)).await.unwrap();
        let left = format!("select count(*) from pg_stat_activity where {theirs}");
        let left = Box::leak(left.into_boxed_str());
        while self.world.count(left).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Nothing is lent any more, within the time that a rollback in the background may take.
    pub(super) async fn is_at_rest(&self) {
        let at_rest = async {
            loop {
                let stats = self.world.database.pool_stats();
                if stats.size == stats.idle && stats.waiting == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let within = Duration::from_secs(5);
        tokio::time::timeout(within, at_rest).await.expect("a connection is still on loan");
    }
}

pub(super) async fn read(
    tenants: &Tenants<Acme>,
    owner: Principal,
    tenant: TenantId,
) -> Result<Vec<String>, BeginError> {
    let access = tenants.load_access(owner, tenant).await.map_err(unavailable)?;
    let grant = access.authorize::<NotesRead>().unwrap();
    query_scalar(ALL_NOTES).fetch_all(tenants.read(grant)).await
}

#[expect(clippy::needless_pass_by_value, reason = "a parameter of `map_err`")]
fn unavailable(error: AccessError) -> BeginError {
    assert!(matches!(error, AccessError::Unavailable(_)), "{error:?}");
    PgError::Unavailable(sqlx::Error::WorkerCrashed).into()
}
