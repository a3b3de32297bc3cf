//! Tokens of identity providers: an [`Authenticator`](super::Authenticator) for OpenID Connect.
//!
//! An [`OpenIdVerifier`] verifies the tokens of one issuer, such as Clerk, Auth0, WorkOS, Keycloak, Zitadel, Supabase
//! or Google, with the keys that the issuer publishes. An [`OpenIdAuthenticator`] accepts one or several issuers and
//! maps the subjects of their tokens to principals with an [`IdentityStore`]: `pg::Identities` keeps them in
//! Postgres. `docs/identity-providers.md` has the settings of seven providers.
//!
//! # Refused tokens
//!
//! A token is refused with [`AuthError::Invalid`](super::AuthError::Invalid), whose text is for logs, when
//!
//! * its signature does not verify with the key that `kid` names in the issuer's own key set. A token without `kid`
//!   needs a set in which one key fits. Keys for encryption, with another algorithm than the token's or of an unknown
//!   kind are never used, and neither are algorithms with a shared secret: `alg` may be one of the
//!   [accepted](OpenIdConfig::with_algorithms) ones only;
//! * `iss` is not exactly the configured issuer;
//! * `aud` or `azp` is not an accepted one. At least one of them has to be configured;
//! * `exp`, `iat` or `sub` is missing or has the wrong type, `sub` is longer than 255 bytes or has control characters;
//! * it has expired, or its `nbf` or `iat` is in the future, by the given [`Clock`](crate::clock::Clock) and with at most
//!   30 s leeway;
//! * a [required claim](OpenIdConfig::require_claim) has another value;
//! * its header has `crit` or a `typ` other than `JWT` and `at+jwt`, it is a logout token (`events`), or it is bound to a
//!   key (`cnf`), which is not checked here.
//!
//! # Rotation and outages
//!
//! | event | what happens |
//! | --- | --- |
//! | first token, before a fetch | The request waits for one fetch. If it fails: [`AuthError::Unavailable`](super::AuthError::Unavailable), a 503. |
//! | keys older than [`refresh_after`](OpenIdConfig::with_refresh_after) | They are fetched in the background; requests do not wait. |
//! | token with an unknown `kid` | One fetch for all such tokens, at most once in a [`refresh_interval`](OpenIdConfig::with_refresh_interval). If the provider does not have the key: a 401. |
//! | the provider is away | The last keys work until they are older than [`max_staleness`](OpenIdConfig::with_max_staleness), so no user is signed out. A token with an unknown `kid` gets a 503. |
//! | the provider has withdrawn a key | Its tokens are refused after the next fetch. |
//!
//! The first failure is logged as a warning and the end of an outage as information; failures in between are logged at
//! `debug`.
//!
//! # Sign-out and removal
//!
//! A token of a provider has no session generation. Its principal carries the [time](super::Principal::issued_at) at
//! which the token was issued and the [identity](super::Principal::by_identity) that it stands for. Opening a transaction
//! compares the time with the last sign-out, looks for the identity, and reads the membership, all in the message that it
//! sends anyway. So signing out everywhere, unlinking an identity, deleting a user and removing a member have effect on
//! the next transaction.
//!
//! # Example
//!
//! ```
//! use mt_core::auth::Authenticator;
//! use mt_core::auth::openid::{
//!     Fetch, FirstSight, IdentityStore, OpenIdAuthenticator, OpenIdConfig, OpenIdVerifier,
//! };
//!
//! async fn authenticator<S: IdentityStore>(
//!     fetch: impl Fetch,
//!     store: S,
//! ) -> Result<impl Authenticator, Box<dyn std::error::Error>> {
//!     let auth0 = OpenIdConfig::new("https://acme.eu.auth0.com/")
//!         .accept_audience("https://api.acme.example");
//!     let auth0 = OpenIdVerifier::new(auth0, fetch)?;
//!     if let Err(error) = auth0.load_keys().await {
//!         tracing::warn!(%error, "sign-in does not work yet");
//!     }
//!     Ok(OpenIdAuthenticator::new(store).accept(auth0, FirstSight::CreateUser)?)
//! }
//! # let unsafe_config = OpenIdConfig::new("https://acme.eu.auth0.com/");
//! # struct None; impl Fetch for None {
//! #     async fn fetch(&self, _: &str) -> Result<Vec<u8>, mt_core::auth::openid::FetchError> { Ok(vec![]) }
//! # }
//! # assert!(OpenIdVerifier::new(unsafe_config, None).is_err());
//! ```

mod algorithm;
mod authenticator;
mod claims;
mod config;
mod endpoint;
mod fetch;
#[cfg(feature = "openid-http")]
mod http_fetch;
mod key_set;
mod provider_keys;
mod schedule;
mod verifier;

pub use self::algorithm::SigningAlgorithm;
pub use self::authenticator::{FirstSight, IdentityStore, OpenIdAuthenticator};
pub use self::claims::VerifiedToken;
pub use self::config::{OpenIdConfig, OpenIdConfigError};
pub use self::fetch::{FETCH_DEADLINE, Fetch, FetchError, MAX_DOCUMENT};
#[cfg(feature = "openid-http")]
pub use self::http_fetch::HttpFetch;
pub use self::provider_keys::KeysError;
pub use self::verifier::OpenIdVerifier;
