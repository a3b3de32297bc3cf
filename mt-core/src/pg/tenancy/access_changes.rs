//! Word of changed memberships, from any process, for a cache of access.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::access::{AccessCache, AccessModel};
use crate::id::{PrincipalId, TenantId};
use crate::pg::connection::session::SessionMark;
use crate::pg::transaction::exchange::Mode;
use crate::pg::transaction::open_tx::OpenTx;
use crate::pg::transaction::opening::Opening;
use crate::pg::{Database, PgError};

/// Where the triggers of `migrations/0003_access_changes.sql` speak.
const CHANNEL: &str = "mt_access";
/// How long a notice of our own may take to come back.
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait after a connection was lost or refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a connection may bring no notice before it is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long Postgres may take to answer one step of beginning to listen, or a heartbeat.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Listens for changed memberships, tenants and users, and has a cache forget them.
///
/// It needs a session of its own, beside the pool's connections. A pooler in transaction mode gives
/// none: notices would go to the client that has the server's connection at that moment, which cannot make sense
/// of them. So before it listens it looks for a setting that it asked for when it connected, which a
/// pooler does not hand on; and then it listens for a notice of its own. Without either the cache goes
/// by the age of its entries, and by what each transaction finds.
#[derive(Debug)]
pub struct AccessChanges {
    database: Database,
    mark: SessionMark,
}

impl Database {
    /// Changes to who may do what, made by any process.
    #[must_use]
    pub fn access_changes(&self) -> AccessChanges {
        AccessChanges { database: self.clone(), mark: SessionMark::new() }
    }
}

impl AccessChanges {
    /// Has `cache` forget what changes, for as long as the future is polled.
    ///
    /// Without a connection the cache is suspended, since it misses changes. It
    /// begins anew with the next one. Ends only behind a pooler that gives no session.
    pub fn tell<M: AccessModel>(self, cache: AccessCache<M>) -> impl Future<Output = ()> + Send {
        // Now, and not with the first poll.
        cache.suspend();
        self.keep_telling(cache)
    }

    async fn keep_telling<M: AccessModel>(self, cache: AccessCache<M>) {
        loop {
            match answered(3 * ANSWERED_WITHIN, self.listen()).await {
                Ok(Some(listener)) => {
                    cache.resume();
                    let error = self.forward(listener, &cache).await;
                    cache.suspend();
                    tracing::warn!(
                        cause = error.as_ref().map(tracing::field::display),
                        "word of changed memberships was cut off; access is read anew each time"
                    );
                }
                Ok(None) => {
                    tracing::warn!(
                        "a pooler in transaction mode brings no word of changed memberships; \
                         remembered access goes by its age"
                    );
                    cache.resume();
                    return;
                }
                Err(error) => tracing::debug!(cause = %error, "cannot listen at present"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A listener that hears, or `None` if a pooler in between listens instead.
    async fn listen(&self) -> Result<Option<PgListener>, PgError> {
        // Each time its own: what a lost connection leaves behind would stand in the way of the next.
        let session = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(ANSWERED_WITHIN)
            .connect_lazy_with(self.mark.on(self.database.connect_options()));
        let mut listener = match PgListener::connect_with(&session).await {
            Err(error) if SessionMark::is_refused(&error) => return Ok(None),
            connected => connected?,
        };
        if !self.mark.is_on(&mut listener).await? {
            return Ok(None);
        }
        // A lost connection is reported at once: what it missed is not known.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        let echo = format!("echo {}", uuid::Uuid::new_v4());
        let notify = format!("select pg_notify('{CHANNEL}', '{echo}')");
        OpenTx::whole(self.database.pools(), &Opening::alone(Mode::Write, notify)).await?;
        let heard = tokio::time::timeout(ECHO_TIMEOUT, async {
            while let Some(notice) = listener.try_recv().await? {
                if notice.payload() == echo {
                    return Ok(true);
                }
            }
            Err(sqlx::Error::WorkerCrashed)
        });
        match heard.await {
            Ok(heard) => Ok(heard?.then_some(listener)),
            Err(_) => Ok(None),
        }
    }

    /// Runs until the connection is lost or silent, and returns how it ended.
    async fn forward<M: AccessModel>(
        &self,
        mut listener: PgListener,
        cache: &AccessCache<M>,
    ) -> Option<PgError> {
        loop {
            match tokio::time::timeout(HEARTBEAT, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => apply(notice.payload(), cache),
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => return Some(error.into()),
                // A server that is out of reach closes no connection.
                Err(_) => match answered(ANSWERED_WITHIN, self.mark.is_on(&mut listener)).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(error),
                },
            }
        }
    }
}

/// What `work` comes to, or that it took too long.
async fn answered<T, E: Into<PgError>>(
    within: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, PgError> {
    match tokio::time::timeout(within, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
    }
}

fn apply<M: AccessModel>(notice: &str, cache: &AccessCache<M>) {
    let mut words = notice.split(' ');
    let what = words.next();
    let ids: Vec<&str> = words.collect();
    match (what, ids.as_slice()) {
        (Some("membership"), [tenant, principal]) => {
            if let (Some(tenant), Some(principal)) =
                (TenantId::parse(tenant), PrincipalId::parse(principal))
            {
                return cache.forget(principal, tenant);
            }
        }
        (Some("tenant"), [tenant]) => {
            if let Some(tenant) = TenantId::parse(tenant) {
                return cache.forget_tenant(tenant);
            }
        }
        (Some("principal"), [principal]) => {
            if let Some(principal) = PrincipalId::parse(principal) {
                return cache.forget_principal(principal);
            }
        }
        (Some("echo"), _) => return,
        _ => {}
    }
    // Of a newer version, perhaps. It means that something has changed.
    cache.clear();
}
