//! Encryption of emails in the outbox.
//!
//! An email may hold a link to sign in, whose token the database otherwise stores as a hash only. So an email is
//! encrypted (AES-256-GCM) under a key that is derived from the service's secret for this purpose. The key is not in
//! the database, so a copy of the database does not reveal the token.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Encrypts emails under the current secret, and decrypts those of the current or the previous secret.
///
/// During a rotation, an email that neither secret opens waits in the outbox until it expires.
pub struct Seal {
    keys: Vec<RandomizedNonceKey>,
    setting: &'static str,
}

impl Seal {
    /// Derives keys from `secret` and, during a rotation, from the `previous` secret.
    #[must_use]
    pub fn new(secret: &[u8], previous: Option<&[u8]>) -> Self {
        let keys = std::iter::once(secret).chain(previous).map(derive).collect();
        Self { keys, setting: "secret" }
    }

    /// Sets the name of the setting that holds the secret, for operators: it is a part of the error of an email that
    /// is sealed under another secret. Without it, that is `secret`.
    #[must_use]
    pub const fn named(mut self, setting: &'static str) -> Self {
        self.setting = setting;
        self
    }

    pub(crate) const fn setting(&self) -> &'static str {
        self.setting
    }

    /// Encrypts `plain` and binds it to the message called `name`.
    pub(crate) fn seal(&self, name: &str, mut plain: Vec<u8>) -> Option<String> {
        let key = self.keys.first()?;
        let aad = Aad::from(name.as_bytes());
        let nonce = key.seal_in_place_append_tag(aad, &mut plain).ok()?;
        Some(STANDARD.encode([nonce.as_ref().as_slice(), &plain].concat()))
    }

    /// Decrypts `sealed`; `None` if it was encrypted under another secret or for another message, or is damaged.
    pub(crate) fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
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
    fn a_sealed_text_opens_for_its_message_only() {
        let seal = Seal::new(b"one", None);
        let sealed = seal.seal("mail:1", b"a token".to_vec()).unwrap();
        assert_eq!(seal.open("mail:1", &sealed).unwrap(), b"a token");
        assert_eq!(seal.open("mail:2", &sealed), None);
        assert_ne!(
            seal.seal("mail:1", b"a token".to_vec()).unwrap(),
            sealed,
            "the nonce is random"
        );
        let shown = STANDARD.decode(&sealed).unwrap();
        assert!(!shown.windows(7).any(|window| window == b"a token"));
    }

    #[test]
    fn the_previous_secret_opens_and_another_does_not() {
        let sealed = Seal::new(b"one", None).seal("mail:1", b"a token".to_vec()).unwrap();
        assert_eq!(Seal::new(b"two", None).open("mail:1", &sealed), None);
        assert!(Seal::new(b"two", Some(b"one")).open("mail:1", &sealed).is_some());
    }

    #[test]
    fn a_damaged_text_does_not_open() {
        let seal = Seal::new(b"one", None);
        let sealed = seal.seal("mail:1", b"a token".to_vec()).unwrap();
        for broken in ["", "AAAA", "no base64!", &sealed[4..], &sealed[..sealed.len() - 4]] {
            assert_eq!(seal.open("mail:1", broken), None, "{broken}");
        }
    }
}
