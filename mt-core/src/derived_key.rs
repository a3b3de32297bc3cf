//! Keyed hashes with one secret for several purposes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA-256 under a key that is derived from a secret for one purpose, so that the same secret may also have others.
/// While the secret is being replaced, the one before is known too.
#[derive(Clone)]
pub(crate) struct DerivedKey {
    purpose: &'static [u8],
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl DerivedKey {
    /// A key of `secret`. The text of `purpose` has a version and is never changed: stored hashes depend on it.
    pub(crate) fn new(purpose: &'static [u8], secret: &[u8]) -> Self {
        Self { purpose, current: derive(purpose, secret), previous: None }
    }

    /// Also knows the hashes of the secret before.
    pub(crate) fn with_previous(mut self, secret: &[u8]) -> Self {
        self.previous = Some(derive(self.purpose, secret));
        self
    }

    /// The hash of a text under the current secret.
    pub(crate) fn hash(&self, text: &str) -> [u8; 32] {
        of(&self.current, text).finalize().into_bytes().into()
    }

    /// The hashes of a text under the current secret and the one before.
    pub(crate) fn hashes(&self, text: &str) -> impl Iterator<Item = [u8; 32]> {
        self.keys().map(move |key| of(key, text).finalize().into_bytes().into())
    }

    /// Whether `hash` is one of [`hashes`](Self::hashes), in constant time for each.
    #[cfg(feature = "postgres")]
    pub(crate) fn has_hashed(&self, text: &str, hash: &[u8]) -> bool {
        self.keys().any(|key| of(key, text).verify_slice(hash).is_ok())
    }

    fn keys(&self) -> impl Iterator<Item = &Hmac<Sha256>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

fn derive(purpose: &[u8], secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(purpose);
    Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
}

fn of(key: &Hmac<Sha256>, text: &str) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(text.as_bytes());
    mac
}
