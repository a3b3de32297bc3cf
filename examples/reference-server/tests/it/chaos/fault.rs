//! Faults of the dependencies.

use std::time::Instant;

use test_support::postgres::Shutdown;

use super::dependencies::Dependencies;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// `pg_ctl restart -m fast`.
    PostgresRestarted,
    /// `pg_ctl restart -m immediate`: connections are cut, and Postgres recovers from its log.
    PostgresCrashed,
    /// `pg_terminate_backend` on every connection of the server.
    BackendsTerminated,
    /// SIGSTOP of the postmaster and all its children, and SIGCONT.
    PostgresFrozen,
    PgBouncerRestarted,
    RedisKilled,
    RedisFrozen,
    RedisDemoted,
}

/// The time in which a dependency was unavailable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) began: Instant,
    /// When the dependency answered the test again.
    pub(super) ended: Instant,
}

impl Fault {
    /// The faults of a server that connects to Postgres directly. A short run uses the first ones
    /// of this list and of the next.
    pub(super) const DIRECT: [Self; 7] = [
        Self::PostgresCrashed,
        Self::PostgresFrozen,
        Self::RedisFrozen,
        Self::BackendsTerminated,
        Self::PostgresRestarted,
        Self::RedisKilled,
        Self::RedisDemoted,
    ];

    /// The faults of a server behind PgBouncer.
    pub(super) const POOLED: [Self; 5] = [
        Self::PgBouncerRestarted,
        Self::PostgresCrashed,
        Self::PostgresRestarted,
        Self::BackendsTerminated,
        Self::PostgresFrozen,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PostgresRestarted => "Postgres restarted, fast",
            Self::PostgresCrashed => "Postgres restarted, immediate",
            Self::BackendsTerminated => "all backends terminated",
            Self::PostgresFrozen => "Postgres frozen",
            Self::PgBouncerRestarted => "PgBouncer restarted",
            Self::RedisKilled => "Redis killed",
            Self::RedisFrozen => "Redis frozen",
            Self::RedisDemoted => "Redis made a replica",
        }
    }

    /// Whether requests need the dependency.
    pub(super) const fn is_of_the_database(self) -> bool {
        !matches!(self, Self::RedisKilled | Self::RedisFrozen | Self::RedisDemoted)
    }

    /// Makes the dependency unavailable, where possible until `hold` is over, and restores it.
    pub(super) async fn inject(
        self,
        dependencies: &mut Dependencies,
        hold: impl Future<Output = ()>,
    ) -> Outage {
        let began = Instant::now();
        match self {
            Self::PostgresRestarted | Self::PostgresCrashed => {
                let shutdown = match self {
                    Self::PostgresRestarted => Shutdown::Fast,
                    _ => Shutdown::Immediate,
                };
                dependencies.postgres.stop(shutdown).await;
                hold.await;
                dependencies.postgres.restart().await;
            }
            Self::BackendsTerminated => dependencies.terminate_backends().await,
            Self::PostgresFrozen => {
                dependencies.postgres.pause();
                hold.await;
                dependencies.postgres.resume();
            }
            Self::PgBouncerRestarted => {
                let pgbouncer = dependencies.pgbouncer.as_mut().expect("the route is pooled");
                pgbouncer.stop().await;
                hold.await;
                pgbouncer.restart(&dependencies.postgres).await;
            }
            Self::RedisKilled => {
                dependencies.redis.kill();
                hold.await;
                dependencies.redis.restart();
                dependencies.redis.ready().await;
            }
            Self::RedisFrozen => {
                dependencies.redis.pause();
                hold.await;
                dependencies.redis.resume();
            }
            Self::RedisDemoted => {
                dependencies.redis.refuse_writes().await;
                hold.await;
                dependencies.redis.accept_writes().await;
            }
        }
        if let Some(pgbouncer) = &dependencies.pgbouncer {
            // PgBouncer waits a second after a failed login, and is a dependency too.
            pgbouncer.ready().await;
        }
        Outage { began, ended: Instant::now() }
    }
}
