//! Domain names in the form that DNS knows.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Returns a domain name as A-labels (RFC 5890) of at most 63 bytes each (RFC 1035 §2.3.4), in lower case; `None` if it
/// is not one.
///
/// The top-level label begins with a letter (RFC 1123 §2.1), so an IPv4 address is not a name.
pub(crate) fn to_ascii(domain: &str) -> Option<String> {
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), deny, hyphens, DnsLength::Verify).ok()?;
    let top = ascii.rsplit('.').next().unwrap_or_default();
    top.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| ascii.into_owned())
}
