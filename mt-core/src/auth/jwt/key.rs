//! Keys, each with its algorithm.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{IssueError, JwtConfigError};

/// The minimum length of an HS256 secret in bytes: the length of the hash (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;

/// A key and the one algorithm that it may be used with. `Debug` does not show the key.
pub struct JwtKey {
    id: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
}

impl JwtKey {
    /// Creates an HS256 key from a shared secret: its UTF-8 bytes.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError::WeakSecret`] for fewer than 32 bytes.
    pub fn hs256(secret: &str) -> Result<Self, JwtConfigError> {
        match secret.len() {
            length @ ..MIN_SECRET => Err(JwtConfigError::WeakSecret { length }),
            _ => Ok(Self::insecure_hs256(secret)),
        }
    }

    /// Creates an HS256 key from a secret of any length. Anyone who guesses it can sign tokens for every user; for
    /// development only.
    #[must_use]
    pub fn insecure_hs256(secret: &str) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            verifying: DecodingKey::from_secret(secret.as_bytes()),
            signing: Some(EncodingKey::from_secret(secret.as_bytes())),
        }
    }

    /// Creates an Ed25519 key pair for `EdDSA` (RFC 8037): private key in PKCS #8, public key in SPKI, both in PEM.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError::NotAKey`] when one is not a key. [`JwtAuthenticator::new`](super::JwtAuthenticator::new)
    /// checks that the two match.
    pub fn ed25519(private_pem: &str, public_pem: &str) -> Result<Self, JwtConfigError> {
        let signing = EncodingKey::from_ed_pem(private_pem.as_bytes()).map_err(not_a_key)?;
        Ok(Self { signing: Some(signing), ..Self::ed25519_public(public_pem)? })
    }

    /// Creates a key from an Ed25519 public key in PEM, to verify tokens of another issuer.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError::NotAKey`] when the text is not a key.
    pub fn ed25519_public(public_pem: &str) -> Result<Self, JwtConfigError> {
        let verifying = DecodingKey::from_ed_pem(public_pem.as_bytes()).map_err(not_a_key)?;
        Ok(Self { id: None, algorithm: Algorithm::EdDSA, verifying, signing: None })
    }

    /// Sets the key's id: tokens signed with it carry `id` as their `kid`, and it verifies only tokens with that
    /// `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn can_sign(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, IssueError> {
        let signing = self.signing.as_ref().ok_or(IssueError::NoSigningKey)?;
        let header = Header { kid: self.id.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, signing).map_err(|e| IssueError::Signing(e.into()))
    }

    pub(super) fn verifier(&self, issuer: &str, audience: &str) -> Verifier {
        let mut validation = Validation::new(self.algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // By default the library checks `iss` and `aud` only if the token has them.
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The caller checks these two against an injected clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Verifier { id: self.id.clone(), key: self.verifying.clone(), validation }
    }
}

/// A key and the required claims of tokens that it verifies.
pub(super) struct Verifier {
    id: Option<String>,
    key: DecodingKey,
    // INVARIANT: names the key's algorithm and no other.
    validation: Validation,
}

impl Verifier {
    /// Returns whether the header of a token selects this key.
    pub(super) fn fits(&self, header: &Header) -> bool {
        self.id == header.kid && self.validation.algorithms.contains(&header.alg)
    }

    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<T, jsonwebtoken::errors::Error> {
        jsonwebtoken::decode(token, &self.key, &self.validation).map(|data| data.claims)
    }
}

fn not_a_key(error: jsonwebtoken::errors::Error) -> JwtConfigError {
    JwtConfigError::NotAKey(error.into())
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
