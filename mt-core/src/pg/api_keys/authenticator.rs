//! From an API key to its principal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use sqlx::Row as _;

use crate::auth::api_key::{has_prefix, is_prefix, is_well_formed};
use crate::auth::{AuthError, Authenticator, Principal};
use crate::clock::{Clock, SystemClock};
use crate::id::{ApiKeyId, PrincipalId, ServiceAccountId, TenantId};
use crate::pg::transaction::opening;
use crate::pg::{PgError, System, SystemReason};
use crate::token::TokenHasher;

// Anyone can send what looks like a key, so this uses the share of anonymous requests.
const LOOK_UP: SystemReason = SystemReason::anonymous("look up an API key");
const NOTE_USE: SystemReason = SystemReason::new("note the use of an API key");

/// How many keys are remembered, of some 200 bytes each. The least used go first.
const CAPACITY: usize = 10_000;
/// How long a key is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// How often the use of a key is noted, in each process.
const USE_NOTED_EVERY: Duration = Duration::from_mins(10);

/// Creates API keys and authenticates callers by them. From [`Database::api_keys`](crate::pg::Database::api_keys). Clones
/// share what they remember.
///
/// # Cache
///
/// The principal of a key is remembered for a minute, so most requests are authenticated without Postgres. That is safe,
/// because the principal carries the [key](Principal::by_key) and each transaction reads the key in its opening batch: one
/// that was revoked, narrowed or has expired is refused by the next transaction. Unknown keys are not remembered, and text
/// with another length, other digits or another checksum is refused without Postgres.
///
/// # Last use
///
/// The time of the last use is written at most once in ten minutes for each key and process, in a task of its own, so a
/// request does not wait for it. The same statement stores the hash under the current secret of the hasher: to replace the
/// secret, accept the previous one until each key was used once.
#[derive(Clone)]
pub struct ApiKeys {
    system: System,
    prefix: &'static str,
    hasher: TokenHasher,
    known: Arc<Cache<[u8; 32], Known>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy)]
struct Known {
    principal: Principal,
    /// In microseconds.
    until: i64,
    /// When the use of the key was noted, in microseconds.
    noted: i64,
}

impl ApiKeys {
    pub(in crate::pg) fn new(system: System, prefix: &'static str, hasher: TokenHasher) -> Self {
        assert!(
            is_prefix(prefix),
            "the prefix of API keys must have 1 to 20 lower-case letters, digits or underscores, and begin with a letter"
        );
        let (known, clock) = (Arc::new(Cache::new(CAPACITY)), Arc::new(SystemClock));
        Self { system, prefix, hasher, known, clock }
    }

    /// Remembers keys by `clock`. Postgres decides when a key expires.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Returns an authenticator that passes credentials without the prefix of keys to `other`.
    #[must_use]
    pub const fn or<A: Authenticator>(self, other: A) -> ApiKeysOr<A> {
        ApiKeysOr { keys: self, other }
    }

    pub(super) const fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The hash to store.
    pub(super) fn digest(&self, text: &str) -> [u8; 32] {
        *self.hasher.hash(&labelled(text)).as_bytes()
    }

    async fn look_up(&self, text: &str) -> Result<Option<Principal>, PgError> {
        let digests = self.hasher.candidates(&labelled(text));
        let digests: Vec<_> = digests.iter().map(|hash| *hash.as_bytes()).collect();
        let rows = self.system.whole(LOOK_UP, opening::of_api_key(&digests)).await?;
        let Some(row) = rows.last() else { return Ok(None) };
        let tenant = TenantId::from_uuid(row.try_get("tenant_id")?);
        let key = ApiKeyId::from_uuid(row.try_get("id")?);
        let user: Option<_> = row.try_get("user_id")?;
        let account: Option<_> = row.try_get("service_account_id")?;
        let account = account.map(ServiceAccountId::from_uuid);
        let holder = match (user.map(PrincipalId::from_uuid), account) {
            (Some(user), None) => Principal::new(user),
            (Some(user), Some(account)) => Principal::new(user).acted_by(account),
            (None, Some(account)) => Principal::service_account(account),
            // A constraint of the table: a key has a holder.
            (None, None) => return Ok(None),
        };
        Ok(Some(holder.by_key(key, tenant)))
    }

    /// Has the use of a key written. Its hash is made anew, so a key that is used while a secret is being replaced goes on
    /// working without the old one.
    fn note_use(&self, principal: Principal, digest: [u8; 32]) {
        let (Some(key), Some(tenant)) = (principal.key(), principal.tenant()) else { return };
        let system = self.system.clone();
        tokio::spawn(async move {
            if let Err(error) = write_use(&system, tenant, key, digest).await {
                tracing::debug!(%error, "the use of an API key was not noted");
            }
        });
    }
}

impl Authenticator for ApiKeys {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        if !is_well_formed(credential, self.prefix) {
            return Err(AuthError::Invalid("not an API key of this service".to_owned()));
        }
        let (digest, now) = (self.digest(credential), self.clock.micros());
        let known = self.known.get(&digest);
        let principal = match known.filter(|known| now < known.until) {
            Some(known) => known.principal,
            None => {
                let found = self.look_up(credential).await;
                let found = found.map_err(|error| AuthError::Unavailable(error.into()))?;
                found.ok_or_else(|| AuthError::Invalid("unknown or ended API key".to_owned()))?
            }
        };
        let is_noted =
            known.is_some_and(|known| now < known.noted.saturating_add(micros(USE_NOTED_EVERY)));
        if !is_noted {
            self.note_use(principal, digest);
        }
        let is_remembered = known.is_some_and(|known| now < known.until);
        if !is_noted || !is_remembered {
            let until = match known.filter(|_| is_remembered) {
                Some(known) => known.until,
                None => now.saturating_add(micros(REMEMBERED_FOR)),
            };
            let noted = known.filter(|_| is_noted).map_or(now, |known| known.noted);
            self.known.insert(digest, Known { principal, until, noted });
        }
        Ok(principal)
    }
}

async fn write_use(
    system: &System,
    tenant: TenantId,
    key: ApiKeyId,
    digest: [u8; 32],
) -> Result<(), PgError> {
    let mut tx = system.begin(NOTE_USE).await?;
    sqlx::query(
        "update mt.api_keys set last_used_at = now(), digest = $3 where tenant_id = $1 and id = $2 and revoked_at is null \
             and (last_used_at > now() - interval '10 min' and digest = $3) is not true",
    )
    .bind(tenant.as_uuid())
    .bind(key.as_uuid())
    .bind(digest)
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// What is hashed: apart from the other tokens that the hasher is used for.
pub(crate) fn labelled(text: &str) -> String {
    format!("API key {text}")
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Authenticates by API keys, and all other credentials by `A`. From [`ApiKeys::or`].
#[derive(Clone, Debug)]
pub struct ApiKeysOr<A> {
    keys: ApiKeys,
    other: A,
}

impl<A: Authenticator> Authenticator for ApiKeysOr<A> {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        if has_prefix(credential, self.keys.prefix) {
            self.keys.authenticate(credential).await
        } else {
            self.other.authenticate(credential).await
        }
    }
}
