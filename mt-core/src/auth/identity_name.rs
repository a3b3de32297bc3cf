//! Which names of issuers and subjects can be stored.

/// The maximum length in bytes. OpenID Connect Core 1.0, section 2, allows subjects of 255 ASCII characters.
const MAX_BYTES: usize = 255;

/// Returns whether the name of an issuer or a subject can be stored: 1 to 255 bytes without control characters.
///
/// Postgres stores no NUL, and other control characters would end up in logs.
pub(crate) fn is_storable(name: &str) -> bool {
    (1..=MAX_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}
