//! The key of envelopes.

use std::fmt;

use crate::derived_key::DerivedKey;

/// The key that seals envelopes. Processes that make and run them have the same secret.
#[derive(Clone)]
pub struct EnvelopeKey(DerivedKey);

impl EnvelopeKey {
    /// A key derived from `secret`, so that the same secret may also have other purposes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(DerivedKey::new(b"mt job envelope v1", secret))
    }

    /// Also opens what was sealed with a key of this secret.
    #[must_use]
    pub fn with_previous(self, secret: &[u8]) -> Self {
        Self(self.0.with_previous(secret))
    }

    /// The seal of a text.
    pub(super) fn seal(&self, text: &str) -> String {
        hex::encode(self.0.hash(text))
    }

    /// Whether a seal is that of a text.
    pub(super) fn has_sealed(&self, text: &str, seal: &str) -> bool {
        hex::decode(seal).is_ok_and(|seal| self.0.has_hashed(text, &seal))
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeKey").finish_non_exhaustive()
    }
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
