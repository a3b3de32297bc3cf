//! What keeps letters from being read while they wait.
//!
//! A letter may hold a link that signs somebody in, of which the database otherwise has only a hash. So it
//! waits sealed (AES-256-GCM) under a key of its own purpose, which is derived from the server's secret and
//! is nowhere in the database: a copy of that opens nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Seals under the present secret; opens what was sealed under that or the one before.
pub struct Seal {
    keys: Vec<RandomizedNonceKey>,
}

impl Seal {
    /// Keys derived from `secret`, and from the `previous` one while secrets are being rotated.
    #[must_use]
    pub fn new(secret: &[u8], previous: Option<&[u8]>) -> Self {
        Self { keys: std::iter::once(secret).chain(previous).map(derive).collect() }
    }

    /// Seals `plain` for the message called `name`, and for no other.
    pub(super) fn close(&self, name: &str, mut plain: Vec<u8>) -> Option<String> {
        let key = self.keys.first()?;
        let aad = Aad::from(name.as_bytes());
        let nonce = key.seal_in_place_append_tag(aad, &mut plain).ok()?;
        Some(STANDARD.encode([nonce.as_ref().as_slice(), &plain].concat()))
    }

    /// What was sealed for the message called `name`; `None` if that was not done here, or is broken.
    pub(super) fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let sealed = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|key| {
            let (nonce, mut text) =
                (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
            let plain = key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).ok()?;
            Some(plain.to_vec())
        })
    }
}

fn derive(secret: &[u8]) -> RandomizedNonceKey {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let key = hmac::sign(&secret, b"mt sealed mail v1");
    RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).expect("the key has the length of the hash")
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_for_its_message_alone() {
        let seal = Seal::new(b"one", None);
        let sealed = seal.close("mail:1", b"a token".to_vec()).unwrap();
        assert_eq!(seal.open("mail:1", &sealed).unwrap(), b"a token");
        assert_eq!(seal.open("mail:2", &sealed), None);
        assert_ne!(seal.close("mail:1", b"a token".to_vec()).unwrap(), sealed, "never the same");
        let shown = STANDARD.decode(&sealed).unwrap();
        assert!(!shown.windows(7).any(|window| window == b"a token"));
    }

    #[test]
    fn another_secret_opens_nothing_and_the_one_before_does() {
        let sealed = Seal::new(b"one", None).close("mail:1", b"a token".to_vec()).unwrap();
        assert_eq!(Seal::new(b"two", None).open("mail:1", &sealed), None);
        assert!(Seal::new(b"two", Some(b"one")).open("mail:1", &sealed).is_some());
    }

    #[test]
    fn what_is_broken_is_not_opened() {
        let seal = Seal::new(b"one", None);
        let sealed = seal.close("mail:1", b"a token".to_vec()).unwrap();
        for broken in ["", "AAAA", "no base64!", &sealed[4..], &sealed[..sealed.len() - 4]] {
            assert_eq!(seal.open("mail:1", broken), None, "{broken}");
        }
    }
}
