//! Email addresses in a canonical form that mail servers can deliver to.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use idna::uts46::{AsciiDenyList, Hyphens, Uts46};
use serde::Serialize;

use crate::dns_name;

/// An email address, trimmed and lower-cased, so that one mailbox is one user.
///
/// [`parse`](Self::parse) accepts only addresses that a mail server can deliver to:
///
/// * at most 254 bytes, 64 of them before the `@` (RFC 5321 §4.5.3.1);
/// * before the `@` a dot-atom (RFC 5322 §3.2.3) of ASCII and of letters and digits of any script (RFC 6531), in
///   Unicode normalization form C. Quoted local parts are refused, because almost no mailbox needs them;
/// * after the `@` a domain name of letters, digits and hyphens (RFC 5321 §4.1.2), whose last label begins with a
///   letter, so that it is not an IP address. Address literals (`[192.0.2.1]`) are refused, because they would let a
///   user choose the host that a relay connects to;
/// * no control characters, white space or invisible characters, with which two users could have addresses that look
///   the same.
///
/// An internationalized domain name may be given in Unicode or as A-labels (`xn--…`, RFC 5890). Both are the same
/// address, whose canonical form is in Unicode; [`to_wire`](Self::to_wire) returns the form with A-labels, which
/// every mail server supports.
///
/// ```
/// use mt_core::email::EmailAddress;
///
/// let email = EmailAddress::parse("  Ada@Example.ORG ")?;
/// assert_eq!(email.as_str(), "ada@example.org");
/// let email = EmailAddress::parse("ada@xn--bcher-kva.example")?;
/// assert_eq!(email, EmailAddress::parse("ada@bücher.example")?);
/// assert_eq!(email.to_wire(), "ada@xn--bcher-kva.example");
/// assert!(EmailAddress::parse("ada@@example.org").is_err());
/// # Ok::<(), mt_core::email::EmailError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The maximum length of an address, in bytes.
    pub const MAX_BYTES: usize = 254;
    /// The maximum length of the part before the `@`, in bytes.
    pub const MAX_LOCAL_BYTES: usize = 64;

    /// Parses an address and converts it into its canonical form.
    ///
    /// # Errors
    ///
    /// [`EmailError`], whose text may be shown to the user who typed the address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        // Checked before trimming, because `trim` would remove a trailing line feed, the trace of a header injection.
        if text.chars().any(char::is_control) {
            return Err(EmailError::ControlCharacter);
        }
        if text.chars().any(is_invisible) {
            return Err(EmailError::InvisibleCharacter);
        }
        let normalizer = ComposingNormalizerBorrowed::new_nfc();
        let text = normalizer.normalize(text.trim());
        if text.chars().any(char::is_whitespace) {
            return Err(EmailError::WhiteSpace);
        }
        let (local, domain) = match text.split_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
            {
                (local, domain)
            }
            _ => return Err(EmailError::Shape),
        };
        // Lower-casing may decompose: `İ` becomes `i` and a combining dot above.
        let lower = local.to_lowercase();
        let local = normalizer.normalize(&lower);
        let ascii = dns_name::to_ascii(domain).ok_or(EmailError::Domain)?;
        let (domain, _) =
            Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
        let address = format!("{local}@{domain}");
        if address.len().max(local.len() + 1 + ascii.len()) > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        // A-labels may encode invisible characters.
        if domain.chars().any(is_invisible) {
            return Err(EmailError::InvisibleCharacter);
        }
        if local.len() > Self::MAX_LOCAL_BYTES || !local.split('.').all(is_atom) {
            return Err(EmailError::LocalPart);
        }
        Ok(Self(address))
    }

    /// Returns the canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address for SMTP: its domain as A-labels (RFC 5890). It is ASCII unless the part before the `@` is
    /// not, which requires a mail server with SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn to_wire(&self) -> String {
        let (local, domain) = self.0.split_once('@').expect("a parsed address has an `@`");
        let domain = dns_name::to_ascii(domain).expect("a parsed address has a valid domain");
        format!("{local}@{domain}")
    }
}

/// Returns whether `text` is an atom of RFC 5322 §3.2.3, extended by letters and digits only (RFC 6532).
fn is_atom(text: &str) -> bool {
    let is_atext = |char: char| char.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char);
    !text.is_empty() && text.chars().all(is_atext)
}

/// Returns whether a character is invisible or only changes how others are displayed: zero-width characters,
/// direction marks and fillers.
fn is_invisible(char: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char)
        || CodePointSetData::new::<BidiControl>().contains(char)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows the domain only, because addresses do not belong in logs.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.0.split_once('@').map_or("", |(_, domain)| domain);
        write!(f, "EmailAddress(…@{domain})")
    }
}

/// The error when a text is not an email address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EmailError {
    /// It contains a control character.
    #[error("must not hold control characters")]
    ControlCharacter,
    /// The part after the `@` is not a domain name.
    #[error("must have a domain name after the `@`")]
    Domain,
    /// It contains an invisible character, such as a zero-width space.
    #[error("must not hold invisible characters")]
    InvisibleCharacter,
    /// Mail servers do not accept the part before the `@`.
    #[error(
        "must have at most 64 bytes before the `@`: letters, digits, !#$%&'*+-/=?^_`{{|}}~, and single dots \
         between them"
    )]
    LocalPart,
    /// It does not have exactly one `@` with text on both sides.
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
    fn valid_addresses_are_canonicalized() {
        let longest_local = "a".repeat(64);
        let longest = format!("{longest_local}@{}.example", domain_of(181));
        assert_eq!(longest.len(), EmailAddress::MAX_BYTES);
        for (typed, stored) in [
            ("a@b", "a@b"),
            ("ADA@EXAMPLE.ORG", "ada@example.org"),
            (" x+tag@y.z ", "x+tag@y.z"),
            ("o'hara=1/2@a-b.c-d.museum", "o'hara=1/2@a-b.c-d.museum"),
            ("ÄÖ@ÜBER.example", "äö@über.example"),
            // Composed and decomposed, in Unicode and as A-labels: one mailbox.
            ("jose\u{301}@cafe\u{301}.example", "josé@café.example"),
            ("josé@xn--caf-dma.example", "josé@café.example"),
            ("x@straße.example", "x@straße.example"),
            ("x@日本。example", "x@日本.example"),
            ("שלום@דוגמה.example", "שלום@דוגמה.example"),
            ("a@r3---sn.example", "a@r3---sn.example"),
            (&longest, &longest),
        ] {
            let email = EmailAddress::parse(typed);
            assert_eq!(email.as_ref().map(EmailAddress::as_str), Ok(stored), "{typed}");
            assert_eq!(EmailAddress::parse(stored), email, "it is its own canonical form");
            assert_eq!(EmailAddress::parse(&email.clone().unwrap().to_wire()), email);
        }
    }

    /// A domain of `bytes` bytes in labels of at most 63.
    fn domain_of(bytes: usize) -> String {
        let labels = "a".repeat(bytes).into_bytes();
        let labels: Vec<_> =
            labels.chunks(63).map(|label| String::from_utf8_lossy(label).into_owned()).collect();
        labels.join(".").chars().skip(labels.len() - 1).collect()
    }

    #[test]
    fn invalid_addresses_are_refused_with_a_reason() {
        use EmailError::{
            ControlCharacter, Domain, InvisibleCharacter, LocalPart, Shape, TooLong, WhiteSpace,
        };
        let (long_local, long_label) =
            (format!("{}@b", "a".repeat(65)), format!("a@{}.org", "b".repeat(64)));
        let (too_long, long_name) = (
            format!("{}@{}.example", "a".repeat(64), domain_of(182)),
            format!("a@{}.example", domain_of(248)),
        );
        let long_a_label = format!("a@{}.example", "ü".repeat(60));
        for (typed, error) in [
            ("", Shape),
            ("a", Shape),
            ("@b", Shape),
            ("a@", Shape),
            ("a@b@c", Shape),
            ("<a@b>", Domain),
            ("<a@b", LocalPart),
            ("Ada <a@b>", WhiteSpace),
            ("a b@c", WhiteSpace),
            ("a\u{a0}b@c", WhiteSpace),
            ("a@b\n", ControlCharacter),
            ("a\0@b", ControlCharacter),
            ("a@b\r\nRCPT TO:<c@d>", ControlCharacter),
            (&too_long, TooLong),
            (&long_name, Domain),
            (&long_local, LocalPart),
            (&long_label, Domain),
            (&long_a_label, Domain),
            // What a mail server cannot be asked for.
            ("x@y.org;", Domain),
            ("x@y.org,", Domain),
            ("x@y_z.org", Domain),
            ("x@y..org", Domain),
            ("x@.org", Domain),
            ("x@org.", Domain),
            ("x@-y.org", Domain),
            ("x@y-.org", Domain),
            ("x@[192.0.2.1]", Domain),
            ("x@[IPv6:2001:db8::1]", Domain),
            ("x@192.0.2.1", Domain),
            ("x@xn--a.org", Domain),
            ("x@y.org(comment)", Domain),
            ("x@😀!.org", Domain),
            ("\"x\"@y.org", LocalPart),
            ("\"x;y\"@y.org", LocalPart),
            ("x;y@y.org", LocalPart),
            ("x,y@y.org", LocalPart),
            ("x:y@y.org", LocalPart),
            ("x\\y@y.org", LocalPart),
            ("(x)y@y.org", LocalPart),
            (".x@y.org", LocalPart),
            ("x.@y.org", LocalPart),
            ("x..y@y.org", LocalPart),
            ("😀@y.org", LocalPart),
            // What cannot be seen.
            ("x\u{200b}@y.org", InvisibleCharacter),
            ("x@y.org\u{200b}", InvisibleCharacter),
            ("\u{feff}x@y.org", InvisibleCharacter),
            ("x\u{200d}y@y.org", InvisibleCharacter),
            ("x\u{ad}@y.org", InvisibleCharacter),
            ("x@y\u{ad}.org", InvisibleCharacter),
            ("x\u{202e}gro.y@y.org", InvisibleCharacter),
            ("\u{2066}x@y.org", InvisibleCharacter),
            ("x\u{200f}@y.org", InvisibleCharacter),
            ("x\u{3164}@y.org", InvisibleCharacter),
            ("x\u{e0041}@y.org", InvisibleCharacter),
            // A zero-width joiner, which IDNA allows in this place.
            ("x@xn--11b2ezcw70k.example", InvisibleCharacter),
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
