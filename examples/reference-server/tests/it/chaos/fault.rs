//! What happens to the world around the server.

use std::time::Instant;

use super::world::World;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// `pg_ctl restart -m fast`.
    PostgresRestarted,
    /// `pg_ctl restart -m immediate`: no good-bye, and recovery from the log.
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

/// When a dependency was not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) began: Instant,
    /// When the dependency answered the storm's own question again.
    pub(super) ended: Instant,
}

impl Fault {
    /// Those of a server that talks to Postgres itself. Of this list and the next a short run that cannot
    /// afford all takes the first ones.
    pub(super) const DIRECT: [Self; 7] = [
        Self::PostgresCrashed,
        Self::PostgresFrozen,
        Self::RedisFrozen,
        Self::BackendsTerminated,
        Self::PostgresRestarted,
        Self::RedisKilled,
        Self::RedisDemoted,
    ];

    /// Those of a server behind a pooler.
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

    /// Whether requests need what is away.
    pub(super) const fn is_of_the_database(self) -> bool {
        !matches!(self, Self::RedisKilled | Self::RedisFrozen | Self::RedisDemoted)
    }

    /// Takes the dependency away, keeps it away until `hold` is over where it can be kept away, and gives it back.
    pub(super) async fn strike(self, world: &mut World, hold: impl Future<Output = ()>) -> Outage {
        let began = Instant::now();
        match self {
            Self::PostgresRestarted | Self::PostgresCrashed => {
                let is_fast = self == Self::PostgresRestarted;
                world.postgres.server.stop(if is_fast { "INT" } else { "QUIT" }).await;
                hold.await;
                world.postgres.server.start_again().await;
            }
            Self::BackendsTerminated => world.terminate_backends().await,
            Self::PostgresFrozen => {
                world.postgres.freeze();
                hold.await;
                world.postgres.thaw();
            }
            Self::PgBouncerRestarted => {
                let pooler = world.pgbouncer.as_mut().expect("a world with a pooler");
                pooler.stop().await;
                hold.await;
                pooler.start_again().await;
            }
            Self::RedisKilled => {
                world.redis.kill();
                hold.await;
                world.redis.start_again().await;
            }
            Self::RedisFrozen => {
                world.redis.freeze();
                hold.await;
                world.redis.thaw();
            }
            Self::RedisDemoted => {
                world.redis.demote().await;
                hold.await;
                world.redis.promote().await;
            }
        }
        if let Some(pooler) = &world.pgbouncer {
            // It waits a second after a login that failed, and is a dependency too.
            pooler.is_up().await;
        }
        Outage { began, ended: Instant::now() }
    }
}
