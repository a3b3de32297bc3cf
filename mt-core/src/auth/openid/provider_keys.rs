//! The keys of one provider: fetched by a single task at a time, and used for as long as the provider is away.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tokio::sync::watch;

use super::fetch::{DynFetch, FETCH_DEADLINE, FetchError, MAX_DOCUMENT};
use super::key_set::{Key, KeySet, Selection};
use super::schedule::{Progress, Schedule, Step};
use super::{OpenIdConfig, SigningAlgorithm, endpoint};
use crate::auth::AuthError;
use crate::auth::jwt::refused;
use crate::clock::Clock;

/// The error of fetching the keys of a provider. For logs only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The provider did not respond in time.
    #[error("the provider did not respond within {FETCH_DEADLINE:?}")]
    Deadline,
    /// A document could not be fetched.
    #[error("`{url}` could not be fetched")]
    Fetch {
        /// The address of the document.
        url: String,
        /// The cause.
        source: FetchError,
    },
    /// The keys are older than the maximum staleness, or were never fetched, and the next attempt is not due yet.
    #[error("the provider has no keys that are fresh enough")]
    NoFreshKeys,
    /// The document at the address of the key set is something else.
    #[error("the document is not a JSON Web Key Set")]
    NotAKeySet,
    /// The key set has no key for signatures of a known kind.
    #[error("the key set has no key that can verify a signature")]
    NoUsableKey,
    /// The discovery document is malformed.
    #[error("the document is not a discovery document with `issuer` and `jwks_uri`")]
    NotADiscoveryDocument,
    /// The discovery document is that of another issuer.
    #[error("the `issuer` of the discovery document is not the configured one")]
    OtherIssuer,
    /// The discovery document refers to an address that is not allowed.
    #[error("the `jwks_uri` of the discovery document is not an https url")]
    Address,
    /// The key set has more than 100 keys.
    #[error("the key set has more than 100 keys")]
    TooManyKeys,
}

/// The keys of one issuer. Clones share them.
#[derive(Clone)]
pub(super) struct ProviderKeys(Arc<Shared>);

struct Shared {
    issuer: String,
    jwks_uri: Option<String>,
    allow_loopback: bool,
    schedule: Schedule,
    fetch: Box<dyn DynFetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    keys: Option<KeySet>,
    progress: Progress,
    /// Why the latest fetch failed.
    error: Option<Arc<KeysError>>,
}

impl ProviderKeys {
    pub(super) fn new(
        config: &OpenIdConfig,
        fetch: Box<dyn DynFetch>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Shared {
            issuer: config.rules.issuer.clone(),
            jwks_uri: config.jwks_uri.clone(),
            allow_loopback: config.allow_loopback,
            schedule: config.schedule,
            fetch,
            clock,
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        }))
    }

    /// Returns the key for a token with this `kid` and `alg`. Waits for a fetch at most once, and not for a known key.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: SigningAlgorithm,
    ) -> Result<Arc<Key>, AuthError> {
        let mut has_waited = false;
        loop {
            let mut ended = {
                let mut state = self.0.lock();
                let selection = match &state.keys {
                    None => Selection::Missing,
                    Some(keys) => keys.select(id, algorithm),
                };
                let has_key = !matches!(selection, Selection::Missing);
                let now = self.0.clock.now();
                let step = self.0.schedule.step(&state.progress, now, has_key, has_waited);
                if matches!(step, Step::UseAndFetch | Step::FetchAndWait) {
                    state.progress.is_under_way = true;
                    state.progress.began = Some(now);
                    self.0.start();
                }
                match step {
                    Step::Use | Step::UseAndFetch => {
                        return match selection {
                            Selection::Key(key) => Ok(key),
                            Selection::Refused(reason) => Err(refused(reason)),
                            Selection::Missing => Err(refused("no key has that `kid`")),
                        };
                    }
                    Step::Refuse => return Err(refused("no key has that `kid`")),
                    Step::Unavailable => return Err(AuthError::Unavailable(state.why_not())),
                    // Subscribed under the lock, so the end of the fetch is not missed.
                    Step::Wait | Step::FetchAndWait => self.0.ended.subscribe(),
                }
            };
            // The sender lives as long as `self`.
            let _ = ended.changed().await;
            has_waited = true;
        }
    }

    /// Fetches the keys now, whatever their age, unless a fetch is under way; that one is waited for.
    pub(super) async fn load(&self) -> Result<(), Arc<KeysError>> {
        let mut ended = {
            let mut state = self.0.lock();
            if !state.progress.is_under_way {
                state.progress.is_under_way = true;
                state.progress.began = Some(self.0.clock.now());
                self.0.start();
            }
            self.0.ended.subscribe()
        };
        let _ = ended.changed().await;
        match &self.0.lock().error {
            None => Ok(()),
            Some(error) => Err(Arc::clone(error)),
        }
    }
}

impl State {
    fn why_not(&self) -> Box<dyn Error + Send + Sync> {
        match &self.error {
            Some(error) => Box::new(Arc::clone(error)),
            None => Box::new(KeysError::NoFreshKeys),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches in a task of its own: a request that goes away takes no fetch along that others wait for.
    fn start(self: &Arc<Self>) {
        let under_way = UnderWay { shared: Arc::clone(self), result: None };
        tokio::spawn(async move {
            let mut under_way = under_way;
            let fetched = tokio::time::timeout(FETCH_DEADLINE, under_way.shared.fetch_keys()).await;
            under_way.result = Some(fetched.unwrap_or(Err(KeysError::Deadline)));
        });
    }

    async fn fetch_keys(&self) -> Result<KeySet, KeysError> {
        let discovered;
        let jwks_uri = match &self.jwks_uri {
            Some(uri) => uri,
            None => {
                discovered = self.discover().await?;
                &discovered
            }
        };
        KeySet::parse(&self.document(jwks_uri).await?)
    }

    /// Reads the address of the key set from the discovery document (OpenID Connect Discovery 1.0, section 4).
    async fn discover(&self) -> Result<String, KeysError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let document = self.document(&format!("{issuer}/.well-known/openid-configuration")).await?;
        let discovery: Discovery =
            serde_json::from_slice(&document).map_err(|_| KeysError::NotADiscoveryDocument)?;
        if discovery.issuer != self.issuer {
            return Err(KeysError::OtherIssuer);
        }
        if !endpoint::is_allowed(&discovery.jwks_uri, self.allow_loopback) {
            return Err(KeysError::Address);
        }
        Ok(discovery.jwks_uri)
    }

    async fn document(&self, url: &str) -> Result<Vec<u8>, KeysError> {
        let failed = |source| KeysError::Fetch { url: url.to_owned(), source };
        let body = self.fetch.fetch(url).await.map_err(failed)?;
        if body.len() > MAX_DOCUMENT { Err(failed(FetchError::TooLong)) } else { Ok(body) }
    }

    /// Logs the first failure and the end of an outage, and not what is in between.
    fn log(&self, was_failing: bool, failure: Option<&KeysError>) {
        let issuer = &self.issuer;
        match failure {
            Some(error) if was_failing => {
                tracing::debug!(issuer, error = error as &dyn Error, "keys not fetched again");
            }
            Some(error) => tracing::warn!(
                issuer,
                error = error as &dyn Error,
                "keys of an identity provider could not be fetched; the last ones stay in use"
            ),
            None if was_failing => {
                tracing::info!(issuer, "keys of an identity provider were fetched again");
            }
            None => {}
        }
    }
}

/// A fetch that is under way. Dropping it ends the fetch, even after a panic.
struct UnderWay {
    shared: Arc<Shared>,
    result: Option<Result<KeySet, KeysError>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let shared = &self.shared;
        let result = self.result.take().unwrap_or(Err(KeysError::NoFreshKeys));
        let mut state = shared.lock();
        shared.log(state.progress.has_failed, result.as_ref().err());
        state.progress.is_under_way = false;
        state.progress.has_failed = result.is_err();
        match result {
            Ok(keys) => {
                state.progress.fetched = Some(shared.clock.now());
                (state.keys, state.error) = (Some(keys), None);
            }
            Err(error) => state.error = Some(Arc::new(error)),
        }
        drop(state);
        shared.ended.send_modify(|ended| *ended += 1);
    }
}
