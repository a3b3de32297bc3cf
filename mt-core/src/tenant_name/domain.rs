//! Domain names of tenants.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::dns_name;

/// The name of a domain that a tenant uses, such as `tasks.acme.com`.
///
/// [`parse`](Self::parse) accepts an internationalized name in Unicode or as A-labels (`xn--…`, RFC 5890). Both are the
/// same domain, whose canonical form is that of `Host` headers: A-labels in lower case, without the dot of the root.
/// IP addresses, `localhost` and top-level domains are refused.
///
/// ```
/// use mt_core::tenant_name::DomainName;
///
/// let domain = DomainName::parse("Bücher.Example.")?;
/// assert_eq!(domain.as_str(), "xn--bcher-kva.example");
/// assert_eq!(domain, DomainName::parse("xn--bcher-kva.example")?);
/// # Ok::<(), mt_core::tenant_name::InvalidDomain>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct DomainName(String);

impl DomainName {
    /// The maximum length, in bytes: that of a domain name, less the label of the record that proves it.
    pub const MAX_BYTES: usize = 239;

    /// Parses a domain name and converts it into its canonical form.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`], whose text may be shown to the user who typed the name.
    pub fn parse(text: &str) -> Result<Self, InvalidDomain> {
        let text = text.trim();
        let address = text.trim_start_matches('[').trim_end_matches(']');
        if address.parse::<IpAddr>().is_ok() {
            return Err(InvalidDomain::Address);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let name = dns_name::to_ascii(text).ok_or(InvalidDomain::Form)?;
        if !name.contains('.') {
            return Err(InvalidDomain::SingleLabel);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidDomain::TooLong);
        }
        Ok(Self(name))
    }

    /// Returns the canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({})", self.0)
    }
}

/// The error when a text is not the name of a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDomain {
    /// It is an IP address.
    #[error("must be a domain name such as `app.example.org`, not an IP address")]
    Address,
    /// It is not a domain name.
    #[error(
        "must be a domain name such as `app.example.org`: labels of letters, digits and hyphens, separated by dots, \
         without `https://`, port or path"
    )]
    Form,
    /// It has a single label.
    #[error("must have at least two labels, such as `example.org`")]
    SingleLabel,
    /// It is too long.
    #[error("must be at most 239 bytes")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_canonicalized() {
        for (typed, stored) in [
            ("acme.com", "acme.com"),
            (" Tasks.ACME.com ", "tasks.acme.com"),
            ("acme.com.", "acme.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
            ("日本。example", "xn--wgv71a.example"),
            ("r3---sn.example", "r3---sn.example"),
            ("1.2.example", "1.2.example"),
            ("a.xn--p1ai", "a.xn--p1ai"),
        ] {
            let domain = DomainName::parse(typed);
            assert_eq!(domain.as_ref().map(DomainName::as_str), Ok(stored), "{typed}");
            assert_eq!(DomainName::parse(stored), domain, "it is its own canonical form");
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        use InvalidDomain::{Address, Form, SingleLabel, TooLong};
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}.org", "b".repeat(43));
        assert_eq!(longest.len(), DomainName::MAX_BYTES);
        assert!(DomainName::parse(&longest).is_ok());
        let too_long = format!("b{longest}");
        let too_long = too_long.replace(&format!("b{label}."), &format!("b.{label}."));
        for (typed, error) in [
            ("192.0.2.1", Address),
            ("2001:db8::1", Address),
            ("[2001:db8::1]", Address),
            ("localhost", SingleLabel),
            ("com", SingleLabel),
            ("com.", SingleLabel),
            (&too_long, TooLong),
            ("", Form),
            (".", Form),
            ("acme..com", Form),
            (".acme.com", Form),
            ("acme.com..", Form),
            ("-acme.com", Form),
            ("acme-.com", Form),
            ("ac_me.com", Form),
            ("*.acme.com", Form),
            ("https://acme.com", Form),
            ("acme.com:443", Form),
            ("acme.com/path", Form),
            ("acme .com", Form),
            ("acme.com\r\nx", Form),
            ("192.0.2.1.", Form),
            ("0x7f.1", Form),
            ("acme.123", Form),
            ("xn--a.com", Form),
        ] {
            assert_eq!(DomainName::parse(typed), Err(error), "{typed:?}");
        }
    }
}
