//! The key that a request is counted under.

use std::fmt::{self, Write as _};

use smallvec::SmallVec;
use uuid::Uuid;

/// Enough for a policy's name, a prefix and two ids; a longer key is allocated.
const INLINE: usize = 128;

/// Writes a key, part by part. Slashes in values are escaped, so two different lists of parts never give one key.
///
/// ```
/// use mt_tower::rate_limit::KeyWriter;
///
/// let key = |parts: [(&'static str, &str); 2]| {
///     let mut key = KeyWriter::new("login");
///     for (name, value) in parts {
///         key.part(name, value);
///     }
///     key.as_str().to_owned()
/// };
/// assert_eq!(key([("a", "192.0.2.1"), ("class", "redeem")]), "login/a=192.0.2.1/class=redeem");
/// assert_ne!(key([("x", "1/y=2"), ("y", "3")]), key([("x", "1"), ("y", "2/y=3")]));
/// ```
#[derive(Clone)]
pub struct KeyWriter {
    // INVARIANT: UTF-8, for only text is written to it.
    text: SmallVec<[u8; INLINE]>,
}

impl KeyWriter {
    /// Creates a key that begins with the policy's name.
    #[must_use]
    pub fn new(policy: &'static str) -> Self {
        Self { text: SmallVec::from_slice(policy.as_bytes()) }
    }

    /// Adds `name` with a value of any text.
    pub fn part(&mut self, name: &'static str, value: impl fmt::Display) {
        self.begin(name);
        write!(Escaped(self), "{value}").expect("a key takes any text");
    }

    /// Adds `name` with an id, which needs no escaping.
    pub fn id(&mut self, name: &'static str, id: Uuid) {
        self.begin(name);
        let mut buffer = Uuid::encode_buffer();
        self.text.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
    }

    /// Returns the key so far.
    ///
    /// # Panics
    ///
    /// Never: only text is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("only text is written")
    }

    fn begin(&mut self, name: &'static str) {
        self.text.push(b'/');
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
    }
}

struct Escaped<'k>(&'k mut KeyWriter);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'/' => self.0.text.extend_from_slice(b"%2F"),
                b'%' => self.0.text.extend_from_slice(b"%25"),
                byte => self.0.text.push(byte),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyWriter").field(&self.as_str()).finish()
    }
}
