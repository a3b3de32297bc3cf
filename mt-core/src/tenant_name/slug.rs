//! Slugs: names of tenants in paths and subdomains.

use std::fmt;

use serde::Serialize;

/// The name of a tenant in paths and subdomains, unique over all tenants.
///
/// It is a label of a domain name in lower case: 1 to 63 characters of `a`–`z`, `0`–`9` and `-`, without a hyphen at
/// either end. Two forms are refused because they mean something else: hyphens in the third and fourth place (`xn--…`
/// is another alphabet's name in disguise, RFC 5891 §4.2.3.1), and 32 hexadecimal digits, which are the form of an id.
///
/// [`parse`](Self::parse) changes nothing, so that a slug has one form in paths, hosts and caches. Lower-case what a
/// user typed before you parse it. Names that your service needs for itself, such as `www` and `api`, are yours to
/// refuse.
///
/// ```
/// use mt_core::tenant_name::Slug;
///
/// assert_eq!(Slug::parse("acme-2")?.as_str(), "acme-2");
/// assert!(Slug::parse("Acme").is_err());
/// # Ok::<(), mt_core::tenant_name::InvalidSlug>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The maximum length, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// Parses a slug.
    ///
    /// # Errors
    ///
    /// [`InvalidSlug`], whose text may be shown to the user who chose the slug.
    pub fn parse(text: &str) -> Result<Self, InvalidSlug> {
        let is_of_a_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=Self::MAX_BYTES).contains(&text.len()) || !text.bytes().all(is_of_a_label) {
            return Err(InvalidSlug::Characters);
        }
        if text.starts_with('-') || text.ends_with('-') || text.get(2..4) == Some("--") {
            return Err(InvalidSlug::Hyphens);
        }
        let mut others = text.bytes().filter(|b| *b != b'-');
        if others.clone().count() == 32 && others.all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidSlug::LikeAnId);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.0)
    }
}

/// The error when a text is not a slug.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidSlug {
    /// It is empty, too long, or has other characters.
    #[error("must be 1 to 63 characters: lower-case letters a to z, digits and hyphens")]
    Characters,
    /// A hyphen is at an end, or hyphens are in the third and fourth place.
    #[error(
        "must not begin or end with a hyphen, or have hyphens as its third and fourth character"
    )]
    Hyphens,
    /// It has the form of an id.
    #[error("must not be 32 hexadecimal digits, which is the form of an id")]
    LikeAnId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    #[test]
    fn labels_in_lower_case_are_slugs() {
        let longest = "a".repeat(63);
        for text in ["a", "7", "acme", "acme-2", "a-b--c", "4711", "x--y", &longest] {
            assert_eq!(Slug::parse(text).map(|slug| slug.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        use InvalidSlug::{Characters, Hyphens, LikeAnId};
        let (too_long, id) = ("a".repeat(64), TenantId::generate());
        let (hyphenated, simple) = (id.to_string(), id.as_uuid().simple().to_string());
        for (text, error) in [
            ("", Characters),
            (&too_long, Characters),
            ("Acme", Characters),
            ("a.b", Characters),
            ("a_b", Characters),
            ("a b", Characters),
            ("acme\n", Characters),
            ("bücher", Characters),
            ("-acme", Hyphens),
            ("acme-", Hyphens),
            ("-", Hyphens),
            ("xn--bcher-kva", Hyphens),
            ("ab--c", Hyphens),
            (&hyphenated, LikeAnId),
            (&simple, LikeAnId),
        ] {
            assert_eq!(Slug::parse(text), Err(error), "{text:?}");
        }
    }
}
