//! Verification of the tokens of one issuer.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::ClaimRules;
use super::provider_keys::ProviderKeys;
use super::{Fetch, KeysError, OpenIdConfig, OpenIdConfigError, SigningAlgorithm, VerifiedToken};
use crate::auth::AuthError;
use crate::auth::jwt::refused;
use crate::clock::{Clock, SystemClock};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// The types of tokens: of RFC 7519 and of RFC 9068. Logout tokens and the like have others.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// Verifies the tokens of one issuer with the keys that it publishes. Clones share the keys.
///
/// Fetches run in tasks of the tokio runtime. See the [module docs](super) for an example, the reasons for refusal and
/// what happens while the provider is away.
#[derive(Clone)]
pub struct OpenIdVerifier {
    rules: Arc<ClaimRules>,
    algorithms: Arc<[SigningAlgorithm]>,
    keys: ProviderKeys,
    clock: Arc<dyn Clock>,
}

impl OpenIdVerifier {
    /// Creates a verifier with the system clock. It fetches nothing yet.
    ///
    /// # Errors
    ///
    /// [`OpenIdConfigError`] when the configuration is unsafe.
    pub fn new(config: OpenIdConfig, fetch: impl Fetch) -> Result<Self, OpenIdConfigError> {
        Self::with_clock(config, fetch, SystemClock)
    }

    /// Creates a verifier that goes by `clock`.
    ///
    /// # Errors
    ///
    /// [`OpenIdConfigError`] when the configuration is unsafe.
    pub fn with_clock(
        config: OpenIdConfig,
        fetch: impl Fetch,
        clock: impl Clock,
    ) -> Result<Self, OpenIdConfigError> {
        let config = config.checked()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let keys = ProviderKeys::new(&config, Box::new(fetch), Arc::clone(&clock));
        let OpenIdConfig { rules, algorithms, .. } = config;
        Ok(Self { rules: Arc::new(rules), algorithms: algorithms.into(), keys, clock })
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    /// Fetches the keys. Call it at start, so that the first request need not wait, and a wrong address is noticed.
    ///
    /// # Errors
    ///
    /// [`KeysError`]. The verifier goes on and tries again when a token needs a key.
    pub async fn load_keys(&self) -> Result<(), Arc<KeysError>> {
        self.keys.load().await
    }

    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for the reasons in the [module docs](super), [`AuthError::Unavailable`] when the keys are
    /// unknown or too old and the provider is away.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        if token.len() > MAX_TOKEN {
            return Err(refused("longer than 16 KiB"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| reason(&error))?;
        check_header(&header)?;
        let algorithm = SigningAlgorithm::of_header(header.alg)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| refused("`alg` is not accepted"))?;
        // Not verified yet: a token of another issuer must not lead to a fetch.
        if issuer_of(token).as_deref() != Some(self.issuer()) {
            return Err(refused("`iss` is not the configured issuer"));
        }
        let key = self.keys.find(header.kid.as_deref(), algorithm).await?;
        let mut validation = Validation::new(algorithm.to_header());
        // The claims are checked below, by the clock and the rules of this verifier.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let decoded =
            jsonwebtoken::decode::<Map<String, Value>>(token, &key.verifying, &validation);
        let claims = decoded.map_err(|error| reason(&error))?.claims;
        self.rules.check(&claims, self.clock.now().timestamp())
    }
}

fn check_header(header: &Header) -> Result<(), AuthError> {
    if header.crit.is_some() {
        return Err(refused("`crit` names an unsupported extension"));
    }
    let is_known = |typ: &str| TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known));
    if header.typ.as_deref().is_some_and(|typ| !is_known(typ)) {
        return Err(refused("`typ` is that of another kind of token"));
    }
    Ok(())
}

/// Reads the issuer that a token names. It is not verified.
pub(super) fn issuer_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split('.').nth(1).filter(|_| token.len() <= MAX_TOKEN)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Issuer>(&payload).ok().map(|claims| claims.iss)
}

/// The refusal for an error of the library, whose own text may repeat what the token says.
fn reason(error: &Error) -> AuthError {
    refused(match error.kind() {
        ErrorKind::InvalidSignature => "the signature does not verify",
        ErrorKind::InvalidAlgorithm => "`alg` is not the algorithm of the key",
        ErrorKind::InvalidRsaKey(_)
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidKeyFormat => "the key of that `kid` is malformed",
        _ => "not a signed token with an algorithm that is known",
    })
}

impl fmt::Debug for OpenIdVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenIdVerifier").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
