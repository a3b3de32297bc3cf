//! Single-use secrets that are sent by email: links to sign in and invites.
//!
//! A token has 256 random bits. The database stores a keyed hash only, so a copy of it reveals no token and cannot
//! verify guesses, and even with the key a token cannot be computed from its hash (OWASP ASVS 5.0 §6.5.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::derived_key::DerivedKey;

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
/// secret. The same secret may also sign JWTs.
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
pub struct TokenHasher(DerivedKey);

impl TokenHasher {
    /// Creates a hasher with a key derived from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(DerivedKey::new(b"mt single-use token v1", secret))
    }

    /// Also accepts tokens that were hashed under `secret`.
    #[must_use]
    pub fn with_previous(self, secret: &[u8]) -> Self {
        Self(self.0.with_previous(secret))
    }

    /// Returns the hash to store.
    #[must_use]
    pub fn hash(&self, token: &str) -> TokenHash {
        TokenHash(self.0.hash(token))
    }

    /// Returns the hashes under which a presented token may be stored.
    #[must_use]
    pub fn candidates(&self, token: &str) -> Vec<TokenHash> {
        self.0.hashes(token).map(TokenHash).collect()
    }
}

impl fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenHasher").finish_non_exhaustive()
    }
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
