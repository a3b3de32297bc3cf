//! The key of envelopes.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The key that seals envelopes. Processes that make and run them have the same secret.
#[derive(Clone)]
pub struct EnvelopeKey {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl EnvelopeKey {
    /// A key derived from `secret`, so that the same secret may also have other purposes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { current: derive(secret), previous: None }
    }

    /// Also opens what was sealed with a key of this secret.
    #[must_use]
    pub fn with_previous(mut self, secret: &[u8]) -> Self {
        self.previous = Some(derive(secret));
        self
    }

    /// The seal of a text.
    pub(super) fn seal(&self, text: &str) -> String {
        let mut seal = self.current.clone();
        seal.update(text.as_bytes());
        hex::encode(seal.finalize().into_bytes())
    }

    /// Whether a seal is that of a text.
    pub(super) fn has_sealed(&self, text: &str, seal: &str) -> bool {
        let Ok(seal) = hex::decode(seal) else { return false };
        std::iter::once(&self.current).chain(&self.previous).any(|key| {
            let mut expected = key.clone();
            expected.update(text.as_bytes());
            expected.verify_slice(&seal).is_ok()
        })
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeKey").finish_non_exhaustive()
    }
}

fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"mt job envelope v1");
    Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seal_is_of_the_text_and_of_the_key() {
        let key = EnvelopeKey::new(b"new").with_previous(b"old");
        let seal = EnvelopeKey::new(b"old").seal("text");
        assert!(key.has_sealed("text", &seal) && key.has_sealed("text", &key.seal("text")));
        assert!(!EnvelopeKey::new(b"new").has_sealed("text", &seal));
        for (text, seal) in [("texts", &*seal), ("", &*seal), ("text", &seal[2..]), ("text", "")] {
            assert!(!key.has_sealed(text, seal), "{text} {seal}");
        }
    }
}
