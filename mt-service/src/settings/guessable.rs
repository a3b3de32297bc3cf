//! Guessable secrets: those that the files of a project show, and those with too few different bytes.

use super::{Reader, Secret};

/// The minimum number of different bytes in a secret. One in twenty million random secrets of 32 hexadecimal digits
/// has fewer; `password`, repeated, has seven.
const MIN_DIFFERENT: usize = 8;

/// The minimum length of a secret in bytes: the length of the hash that it keys (RFC 7518 §3.2).
const MIN_BYTES: usize = 32;

/// The requirement on secrets in production besides their length, for error messages.
pub const NOT_GUESSABLE: &str =
    "at least 8 different bytes, and no value that the project's files show";

/// Returns whether `secret` is blank, one of `known` or has too few different bytes. `known` are the secrets in the files
/// of the project: defaults, examples and test values, which everyone can read.
#[must_use]
pub fn is_guessable(secret: &str, known: &[&str]) -> bool {
    let mut seen = [false; 256];
    for byte in secret.bytes() {
        seen[usize::from(byte)] = true;
    }
    let different = seen.into_iter().filter(|seen| *seen).count();
    secret.trim().is_empty() || different < MIN_DIFFERENT || known.contains(&secret.trim())
}

impl Reader<'_> {
    /// Refuses the value of `name` in production if `secret` is short or guessable; see [`is_guessable`].
    pub fn refuse_weak(&mut self, name: &'static str, secret: Option<&Secret>, known: &[&str]) {
        let is_weak = |secret: &Secret| {
            secret.reveal().len() < MIN_BYTES || is_guessable(secret.reveal(), known)
        };
        if secret.is_some_and(is_weak) {
            let takes = format!("at least {MIN_BYTES} bytes in prod, with {NOT_GUESSABLE}");
            self.refuse_secret(name, takes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 1] = ["a secret that a file of the project shows"];

    #[test]
    fn blank_known_and_repetitive_secrets_are_guessable() {
        let blanks: String = ('\u{2000}'..='\u{200a}').chain(['\t', '\n', ' ']).collect();
        for secret in [
            "",
            " ",
            &blanks,
            &"a".repeat(64),
            &"password".repeat(8),
            "12121212121212121212121212121212",
            KNOWN[0],
            &format!(" {}\n", KNOWN[0]),
        ] {
            assert!(is_guessable(secret, &KNOWN), "{secret:?}");
        }
        for secret in ["abcdefgh", "a b c d e f g", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"] {
            assert!(!is_guessable(secret, &KNOWN), "{secret:?}");
        }
    }

    #[test]
    fn the_text_names_the_number() {
        assert!(NOT_GUESSABLE.contains(&MIN_DIFFERENT.to_string()));
    }
}
