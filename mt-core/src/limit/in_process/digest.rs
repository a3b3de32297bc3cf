//! Digests of keys.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Duration;

use siphasher::sip128::{Hash128, SipHasher13};

use crate::limit::Policy;

/// A digest of 128 bits of a key with its window and policy.
///
/// It is a `SipHash-1-3` with a random secret, in one pass. Clients choose keys (their address, a token that
/// they present), so a hash without a secret, or a fast one that only mixes its seed in, would let them look
/// for two keys that share a count, or for many that fill one bucket. `SipHash` is a pseudorandom function:
/// without the secret, which never leaves the process, its output cannot be told from chance. By chance two of
/// a million keys collide once in 10^26 runs.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Digest {
    shard: u64,
    bucket: u64,
}

impl Digest {
    /// Returns its shard, of at most 256. The bucket within the shard depends on other bits.
    pub(super) fn shard(self, of: usize) -> usize {
        usize::from(self.shard.to_le_bytes()[0]) % of
    }
}

/// Makes digests with one secret.
pub(super) struct Digester(SipHasher13);

impl Digester {
    pub(super) fn new() -> Self {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).expect("the operating system gives randomness");
        Self(SipHasher13::new_with_key(&secret))
    }

    /// Returns the digest, which is equal if and only if all three are.
    pub(super) fn digest(&self, key: &str, window: Duration, policy: Policy) -> Digest {
        let mut hasher = self.0;
        // Of one length, so that no key can look like them. And of whole words, on which the key
        // then begins: that is the fast way through the hash.
        hasher.write_u64(window.as_secs());
        hasher.write_u64(u64::from(window.subsec_nanos()) << 8 | policy as u64);
        let Hash128 { h1: shard, h2: bucket } = hasher.hash(key.as_bytes());
        Digest { shard, bucket }
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.bucket);
    }
}

/// Hasher that returns the digest itself, which is random already.
#[derive(Default)]
pub(super) struct DigestHasher(u64);

pub(super) type BuildDigestHasher = BuildHasherDefault<DigestHasher>;

impl Hasher for DigestHasher {
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a digest is written as one word");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip128::Hasher128 as _;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_fast_way_is_the_same_hash_whatever_the_length() {
        let digester = Digester(SipHasher13::new_with_key(&[7; 16]));
        for length in 0..300 {
            let key = "k".repeat(length);
            let mut slow = SipHasher13::new_with_key(&[7; 16]);
            slow.write(&60_u64.to_le_bytes());
            slow.write(&(5_u64 << 8 | 1).to_le_bytes());
            key.bytes().for_each(|byte| slow.write(&[byte]));
            let Hash128 { h1, h2 } = slow.finish128();
            let window = MINUTE + Duration::from_nanos(5);
            let digest = digester.digest(&key, window, Policy::Gcra);
            assert_eq!((digest.shard, digest.bucket), (h1, h2), "{length}");
        }
    }

    #[test]
    fn key_window_policy_and_secret_all_matter() {
        let digester = Digester::new();
        let of = |key, window, policy| digester.digest(key, window, policy);
        let digests = [
            of("ada", MINUTE, Policy::FixedWindow),
            of("bob", MINUTE, Policy::FixedWindow),
            of("ada\0", MINUTE, Policy::FixedWindow),
            of("", MINUTE, Policy::FixedWindow),
            of("ada", MINUTE + Duration::from_nanos(1), Policy::FixedWindow),
            of("ada", MINUTE * 2, Policy::FixedWindow),
            of("ada", MINUTE, Policy::Gcra),
            Digester::new().digest("ada", MINUTE, Policy::FixedWindow),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
        assert!(of("ada", MINUTE, Policy::FixedWindow) == digests[0]);
    }

    #[test]
    fn shards_and_buckets_are_told_apart() {
        let digester = Digester::new();
        let mut found = [[0; 16]; 16];
        for number in 0..25_600 {
            let digest = digester.digest(&number.to_string(), MINUTE, Policy::FixedWindow);
            let bucket = usize::try_from(digest.bucket % 16).unwrap();
            found[digest.shard(16)][bucket] += 1;
        }
        // A hundred are expected in each, give or take ten.
        assert!(found.iter().flatten().all(|found| (40..200).contains(found)), "{found:?}");
    }
}
