//! Single-use secrets that are sent by email: links to sign in and invites.
//!
//! A token has 256 random bits. The database stores a keyed hash only, so a copy of it reveals no token and cannot
//! verify guesses, and even with the key a token cannot be computed from its hash (OWASP ASVS 5.0 §6.5.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A new secret, sent once and not stored. `Debug` does not show it.
pub struct SecretToken(String);

impl SecretToken {
    /// Generates a token from 256 bits of the operating system's random numbers.
    ///
    /// # Panics
    ///
    /// When the operating system has no random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the token as it is sent: 43 characters of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(…)")
    }
}

/// The stored hash of a token: HMAC-SHA-256 under a key of the application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hashes tokens under a key derived from the application's secret. During a rotation it also knows the previous
/// secret.
///
/// ```
/// use mt_core::token::{SecretToken, TokenHasher};
///
/// let old = TokenHasher::new(b"the secret of last month, 32 bytes");
/// let token = SecretToken::generate();
/// let stored = old.hash(token.reveal());
///
/// let rotated = TokenHasher::new(b"the secret of this month, 32 bytes")
///     .with_previous(b"the secret of last month, 32 bytes");
/// assert!(rotated.candidates(token.reveal()).contains(&stored));
/// ```
#[derive(Clone)]
pub struct TokenHasher {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl TokenHasher {
    /// Creates a hasher with a key derived from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { current: derive(secret), previous: None }
    }

    /// Also accepts tokens that were hashed under `secret`.
    #[must_use]
    pub fn with_previous(mut self, secret: &[u8]) -> Self {
        self.previous = Some(derive(secret));
        self
    }

    /// Returns the hash to store.
    #[must_use]
    pub fn hash(&self, token: &str) -> TokenHash {
        keyed(&self.current, token)
    }

    /// Returns the hashes under which a presented token may be stored.
    #[must_use]
    pub fn candidates(&self, token: &str) -> Vec<TokenHash> {
        std::iter::once(&self.current)
            .chain(self.previous.as_ref())
            .map(|key| keyed(key, token))
            .collect()
    }
}

impl fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenHasher").finish_non_exhaustive()
    }
}

/// Derives a key for this purpose, so that the same secret may also sign JWTs.
fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"mt single-use token v1");
    Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
}

fn keyed(key: &Hmac<Sha256>, token: &str) -> TokenHash {
    let mut mac = key.clone();
    mac.update(token.as_bytes());
    TokenHash(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_distinct_and_url_safe() {
        let (a, b) = (SecretToken::generate(), SecretToken::generate());
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().len(), 43);
        assert!(a.reveal().bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)));
        assert_eq!(format!("{a:?}"), "SecretToken(…)");
    }

    #[test]
    fn a_hash_needs_the_key() {
        let token = SecretToken::generate();
        let hash = TokenHasher::new(b"one").hash(token.reveal());
        assert_eq!(TokenHasher::new(b"one").candidates(token.reveal()), [hash]);
        assert!(!TokenHasher::new(b"two").candidates(token.reveal()).contains(&hash));
    }
}
