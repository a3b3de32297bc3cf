//! What handlers share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mt_core::billing::StandingPolicy;
use mt_core::pg::{Database, Tenants};
use serde_json::Value;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::bug::Bug;
use crate::model::Helpdesk;

/// What handlers share, and the bug that is switched on.
#[derive(Debug)]
pub struct App {
    pub(crate) tenants: Tenants<Helpdesk>,
    pub(crate) database: Database,
    migrators: PgPool,
    servers: PgPool,
    bug: Option<Bug>,
    cache: Mutex<HashMap<String, Value>>,
    files: Mutex<BTreeMap<(Uuid, String), String>>,
    writes: AtomicU64,
}

pub(crate) type Shared = Arc<App>;

impl App {
    /// A helpdesk on `database`. An embedder may have pools of their own beside it, with the login of
    /// migrations and with that of the server.
    #[must_use]
    pub fn new(database: Database, [migrators, servers]: [PgPool; 2], bug: Option<Bug>) -> Self {
        let tenants = database.tenants(StandingPolicy::default());
        let (cache, files, writes) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Self { tenants, database, migrators, servers, bug, cache, files, writes }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The statement of the first bug that is switched on, or the sound one.
    pub(crate) fn sql(&self, bugs: &[(Bug, &'static str)], sound: &'static str) -> &'static str {
        bugs.iter().find(|(bug, _)| self.has(*bug)).map_or(sound, |(_, broken)| broken)
    }

    /// A transaction that asks for no permission and that no policy binds: what an embedder gets who goes
    /// past the library with the login of migrations.
    #[expect(clippy::disallowed_methods, reason = "it is the bug")]
    pub(crate) async fn past_the_library(
        &self,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.migrators.begin().await
    }

    /// A transaction of the server's own login, with a tenant that was set by hand.
    #[expect(clippy::disallowed_methods, reason = "it is the bug")]
    pub(crate) async fn by_hand(
        &self,
        shop: Uuid,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut tx = self.servers.begin().await?;
        sqlx::query(
            "select set_config('role', 'mt_app', true), set_config('mt.tenant_id', $1, true)",
        )
        .bind(shop.to_string())
        .execute(&mut *tx)
        .await?;
        Ok(tx)
    }

    /// What was answered before under that key.
    pub(crate) fn cached(&self, key: &str) -> Option<Value> {
        locked(&self.cache).get(key).cloned()
    }

    pub(crate) fn cache(&self, key: String, value: &Value) {
        locked(&self.cache).insert(key, value.clone());
    }

    /// Something was written: what was cached of the shop is old.
    pub(crate) fn wrote(&self, shop: Uuid) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        // A cache without shops in its keys does not know whose is old.
        locked(&self.cache).retain(|key, _| !key.starts_with(&shop.to_string()));
    }

    /// How much this process has written.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Keeps a file of a shop.
    pub fn put_file(&self, shop: Uuid, name: &str, text: &str) {
        let mut files = locked(&self.files);
        if self.has(Bug::FileOverwritten) {
            let of_name = files.iter_mut().filter(|((_, other), _)| other == name);
            of_name.for_each(|(_, kept)| text.clone_into(kept));
        }
        files.insert((shop, name.to_owned()), text.to_owned());
    }

    pub(crate) fn file(&self, shop: Uuid, name: &str) -> Option<String> {
        let files = locked(&self.files);
        if self.has(Bug::FileOfAnyShop) {
            return files
                .iter()
                .find(|((_, other), _)| other == name)
                .map(|(_, text)| text.clone());
        }
        files.get(&(shop, name.to_owned())).cloned()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
