//! Guessable secrets: those that the files of this project contain, and those with too few different bytes.

/// The minimum number of different bytes in a secret. One in twenty million random secrets of 32 hexadecimal digits
/// has fewer; `password`, repeated, has seven.
const MIN_DIFFERENT: usize = 8;

/// The secrets in the files of this project: defaults, examples and test values. Production refuses them. A test
/// searches the repository and reports each that is missing here.
const KNOWN: &[&str] = &[
    super::sections::DEV_JWT_SECRET,
    super::DEV_ADMIN_TOKEN,
    "mt-compose-secret-known-to-everybody",
    "a-secret-that-is-only-for-measuring",
    "a $secret # of \"32\" bytes or more, all of it",
    "another secret of a server, 32 bytes",
    "another secret, which is as long",
    "one secret for both, of 32 bytes or more",
    "planted-admin-token-0123456789abcdef",
    "planted-jwt-secret-0123456789abcdef",
    "the secret of the matrix, 32 bytes or more",
    "the secret of this month, 32 bytes",
    "the secret of this test, 32 bytes long",
    "whsec_$HOME#@/%",
    "whsec_0123456789abcdef",
    "whsec_fedcba9876543210",
    "whsec_for_the_bench",
    "whsec_hunter2",
    "whsec_hunter2b",
    "whsec_localstripe_0123456789",
    "whsec_of_a_stranger",
    "whsec_of_another_account",
    "whsec_of_another_endpoint",
    "whsec_of_another_sender",
    "whsec_of_another_server",
    "whsec_of_the_bench",
    "whsec_of_the_storm",
    "whsec_of_the_tests",
    "whsec_old",
    "whsec_planted",
    "whsec_test_new_0123456789abcdef0123456789ab",
    "whsec_test_old_fedcba9876543210fedcba9876",
    "whsec_that_is_not_it",
    "sk_copied_with_a_newline",
    "sk_hunter2",
    "sk_live_1",
    "sk_test_12345",
    "sk_test_calls",
    "sk_test_doctors",
    "sk_test_of_the_tests",
    "sk_test_pages",
    "sk_test_reconcile",
];

/// The requirement on secrets in production besides their length, for error messages.
pub(super) const NOT_GUESSABLE: &str =
    "at least 8 different bytes, and no value that the project's files show";

/// Returns whether `secret` is blank, known or has too few different bytes.
pub(super) fn is_guessable(secret: &str) -> bool {
    let mut seen = [false; 256];
    for byte in secret.bytes() {
        seen[usize::from(byte)] = true;
    }
    let different = seen.into_iter().filter(|seen| *seen).count();
    secret.trim().is_empty() || different < MIN_DIFFERENT || KNOWN.contains(&secret.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            super::super::sections::DEV_JWT_SECRET,
            &format!(" {}\n", super::super::sections::DEV_JWT_SECRET),
        ] {
            assert!(is_guessable(secret), "{secret:?}");
        }
        for secret in ["abcdefgh", "a b c d e f g", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"] {
            assert!(!is_guessable(secret), "{secret:?}");
        }
    }

    #[test]
    fn the_text_names_the_number() {
        assert!(NOT_GUESSABLE.contains(&MIN_DIFFERENT.to_string()));
    }
}
