//! The text of an API key.

use std::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};

const CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// The digits of the text, in their order.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How many random digits a key has: more than 256 bits.
const RANDOM: usize = 43;
/// How many digits the checksum has: enough for 32 bits.
const CHECKSUM: usize = 6;

/// An API key: `prefix_` and 49 letters and digits, of which the last six are a checksum. `Debug` does not show it.
///
/// The prefix and the checksum are for secret scanners. A scanner finds keys by the prefix, and a key that was mistyped or
/// made up is told apart by the checksum, without a look into the database.
pub struct ApiKeyText(String);

impl ApiKeyText {
    /// Generates a key.
    pub(crate) fn generate(prefix: &str) -> Self {
        let mut text = format!("{prefix}_");
        let end = text.len() + RANDOM;
        while text.len() < end {
            let mut bytes = [0_u8; 64];
            getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
            // Bytes above the last multiple of 62 would make some digits likelier than others.
            let digits =
                bytes.iter().filter(|byte| **byte < 248).map(|byte| digit(u32::from(*byte)));
            text.extend(digits.take(end - text.len()));
        }
        text.push_str(&checksum(&text));
        Self(text)
    }

    /// Returns the key as it is shown, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the first characters, by which people tell keys apart: the prefix and four digits of 43.
    pub(crate) fn hint(&self, prefix: &str) -> &str {
        &self.0[..prefix.len() + 5]
    }
}

/// Returns whether `text` begins as the keys of `prefix` do.
pub(crate) fn has_prefix(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

/// Returns whether `text` may be a key of `prefix`: its length, digits and checksum are right.
pub(crate) fn is_well_formed(text: &str, prefix: &str) -> bool {
    let Some(digits) = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')) else {
        return false;
    };
    digits.len() == RANDOM + CHECKSUM
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.ends_with(&checksum(&text[..text.len() - CHECKSUM]))
}

/// Returns whether keys may have this prefix: 1 to 20 lower-case letters, digits and underscores, the first a letter.
pub(crate) const fn is_prefix(prefix: &str) -> bool {
    let bytes = prefix.as_bytes();
    if bytes.is_empty() || bytes.len() > 20 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut place = 0;
    while place < bytes.len() {
        let byte = bytes[place];
        if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return false;
        }
        place += 1;
    }
    true
}

/// The CRC-32 of `text` in base 62, most significant digit first.
fn checksum(text: &str) -> String {
    let crc = CRC_32.checksum(text.as_bytes());
    (0..CHECKSUM)
        .rev()
        .map(|place| digit(crc / 62_u32.pow(u32::try_from(place).unwrap_or(0))))
        .collect()
}

fn digit(number: u32) -> char {
    char::from(DIGITS[(number % 62) as usize])
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyText(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_well_formed() {
        let keys: Vec<_> = (0..500).map(|_| ApiKeyText::generate("acme")).collect();
        let distinct: HashSet<_> = keys.iter().map(ApiKeyText::reveal).collect();
        assert_eq!(distinct.len(), keys.len());
        for key in &keys {
            assert_eq!(key.reveal().len(), 4 + 1 + 43 + 6);
            assert!(is_well_formed(key.reveal(), "acme"), "{}", key.reveal());
            assert!(key.reveal().starts_with(key.hint("acme")) && key.hint("acme").len() == 9);
        }
        // Every digit occurs: none is left out by the way they are drawn.
        let digits: HashSet<char> =
            keys.iter().flat_map(|key| key.reveal()[5..48].chars()).collect();
        assert_eq!(digits.len(), 62);
        assert_eq!(format!("{:?}", keys[0]), "ApiKeyText(…)");
    }

    #[test]
    fn changed_character_breaks_the_checksum() {
        let key = ApiKeyText::generate("acme");
        for place in 5..key.reveal().len() {
            let mut bytes = key.reveal().as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!is_well_formed(&changed, "acme"), "{changed}");
        }
        for other in
            ["", "acme", "acme_", &key.reveal()[1..], &format!("{}0", key.reveal()), "acme_é"]
        {
            assert!(!is_well_formed(other, "acme"), "{other}");
        }
        assert!(!is_well_formed(key.reveal(), "acm") && !has_prefix(key.reveal(), "acm"));
        assert!(has_prefix("acme_x", "acme") && !has_prefix("acme", "acme"));
    }

    #[test]
    fn known_checksum() {
        // CRC-32 (ISO-HDLC) of "123456789" is 0xCBF43926, in its catalogue entry.
        assert_eq!(CRC_32.checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn prefixes_are_words() {
        for good in ["a", "acme", "acme_live", "a2"] {
            assert!(is_prefix(good), "{good}");
        }
        for bad in ["", "2a", "_a", "Acme", "a-b", "é", "aaaaaaaaaaaaaaaaaaaaa"] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }
}
