//! E-mail addresses in one canonical form.

use std::fmt;

use serde::Serialize;

/// An e-mail address, trimmed and lower-cased whole, so that one mailbox is one user.
///
/// What is checked is what can be known without sending mail: one `@` with something on both
/// sides, no white space or control characters inside, at most 254 bytes (RFC 5321 §4.5.3.1.3,
/// less the angle brackets).
///
/// ```
/// use mt_core::email::EmailAddress;
///
/// let email = EmailAddress::parse("  Ada@Example.ORG ")?;
/// assert_eq!(email.as_str(), "ada@example.org");
/// assert!(EmailAddress::parse("ada@@example.org").is_err());
/// # Ok::<(), mt_core::email::EmailError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The longest address, in bytes.
    pub const MAX_BYTES: usize = 254;

    /// Reads an address and brings it into its canonical form.
    ///
    /// # Errors
    ///
    /// [`EmailError`], whose text may be shown to whoever typed the address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        // Before trimming: `trim` would take a trailing line feed away, and with it the evidence
        // of a header injection.
        if text.chars().any(char::is_control) {
            return Err(EmailError::ControlCharacter);
        }
        let address = text.trim().to_lowercase();
        if address.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        if address.chars().any(char::is_whitespace) {
            return Err(EmailError::WhiteSpace);
        }
        match address.split_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
            {
                Ok(Self(address))
            }
            _ => Err(EmailError::Shape),
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows the domain only: addresses do not belong in logs.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.0.split_once('@').map_or("", |(_, domain)| domain);
        write!(f, "EmailAddress(…@{domain})")
    }
}

/// Why a text is no e-mail address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EmailError {
    /// It holds a control character.
    #[error("must not hold control characters")]
    ControlCharacter,
    /// It does not have one `@` with something on both sides.
    #[error("must have one `@` with something on both sides")]
    Shape,
    /// It is too long.
    #[error("must be at most 254 bytes")]
    TooLong,
    /// It holds white space.
    #[error("must not hold white space")]
    WhiteSpace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_canonicalises() {
        for (typed, stored) in [
            ("a@b", "a@b"),
            ("ADA@EXAMPLE.ORG", "ada@example.org"),
            (" x+tag@y.z ", "x+tag@y.z"),
            ("ÄÖ@ÜBER.example", "äö@über.example"),
        ] {
            assert_eq!(EmailAddress::parse(typed).map(|e| e.0), Ok(stored.to_owned()));
        }
        let longest = format!("{}@b", "a".repeat(252));
        assert!(EmailAddress::parse(&longest).is_ok());
    }

    #[test]
    fn refuses_with_a_reason() {
        let too_long = format!("{}@b", "a".repeat(253));
        for (typed, error) in [
            ("", EmailError::Shape),
            ("a", EmailError::Shape),
            ("@b", EmailError::Shape),
            ("a@", EmailError::Shape),
            ("a@b@c", EmailError::Shape),
            ("a b@c", EmailError::WhiteSpace),
            ("a@b\n", EmailError::ControlCharacter),
            ("a\0@b", EmailError::ControlCharacter),
            (too_long.as_str(), EmailError::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(typed), Err(error), "{typed:?}");
        }
    }

    #[test]
    fn debug_hides_the_mailbox() {
        let email = EmailAddress::parse("ada@example.org").unwrap();
        assert_eq!(format!("{email:?}"), "EmailAddress(…@example.org)");
    }
}
