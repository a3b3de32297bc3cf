//! The cursors of lists: sealed places of rows.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::page::{MAX_CURSOR, Place};

const SEAL_BYTES: usize = 16;

/// Seals cursors, under a key derived from the server's secret and, while that is being replaced, opens
/// those of the one before.
#[derive(Clone)]
pub struct Cursors {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl Cursors {
    /// Seals under a key derived from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { current: derive(secret), previous: None }
    }

    /// Also opens what was sealed under `secret`.
    #[must_use]
    pub fn with_previous(mut self, secret: &[u8]) -> Self {
        self.previous = Some(derive(secret));
        self
    }

    /// The cursors of the list that `scope` names.
    #[must_use]
    pub fn list(&self, scope: &str) -> ListCursors {
        let of_list = |key: &Hmac<Sha256>| {
            let mut seal = key.clone();
            seal.update(scope.as_bytes());
            // No scope ends like another goes on.
            seal.update(&[0]);
            seal
        };
        ListCursors {
            current: of_list(&self.current),
            previous: self.previous.as_ref().map(of_list),
        }
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursors").finish_non_exhaustive()
    }
}

/// The cursors of one list.
#[derive(Clone)]
pub struct ListCursors {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl fmt::Debug for ListCursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListCursors").finish_non_exhaustive()
    }
}

/// Derives a key of its own purpose, so that the same secret may also sign JWTs.
fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"mt list cursor v1");
    Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
}

impl ListCursors {
    pub(crate) fn seal<K: Place>(&self, place: K) -> String {
        let place = place.to_bytes();
        let mut seal = self.current.clone();
        seal.update(&place);
        let seal = seal.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([place.as_slice(), &seal[..SEAL_BYTES]].concat())
    }

    pub(crate) fn open<K: Place>(&self, cursor: &str) -> Option<K> {
        let bytes = match cursor.len() {
            ..=MAX_CURSOR => URL_SAFE_NO_PAD.decode(cursor).ok()?,
            _ => return None,
        };
        let (place, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
        let is_ours = std::iter::once(&self.current).chain(&self.previous).any(|key| {
            let mut expected = key.clone();
            expected.update(place);
            expected.verify_truncated_left(seal).is_ok()
        });
        is_ours.then(|| K::from_bytes(place)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_bit_of_a_cursor_is_under_its_seal() {
        let list = Cursors::new(b"secret").list("tasks:a");
        let sealed = URL_SAFE_NO_PAD.decode(list.seal(Uuid::now_v7())).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(list.open::<Uuid>(&changed), None, "bit {bit}");
        }
        assert!(list.open::<Uuid>(&URL_SAFE_NO_PAD.encode(sealed)).is_some());
    }

    #[test]
    fn a_time_and_an_id_make_a_place_as_well() {
        let list = Cursors::new(b"secret").list("members");
        let place =
            (DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), Uuid::now_v7());
        let cursor = list.seal(place);
        assert!(cursor.len() <= MAX_CURSOR);
        assert_eq!(list.open(&cursor), Some(place));
        assert_eq!(list.open::<Uuid>(&cursor), None);
    }

    #[test]
    fn the_secret_before_still_opens() {
        let id = Uuid::now_v7();
        let old = Cursors::new(b"old").list("s").seal(id);
        let rotated = Cursors::new(b"new").with_previous(b"old").list("s");
        assert_eq!(rotated.open(&old), Some(id));
        assert_eq!(rotated.open(&rotated.seal(id)), Some(id));
        assert_eq!(Cursors::new(b"new").list("s").open::<Uuid>(&old), None);
    }
}
