//! The two fields of draft-ietf-httpapi-ratelimit-headers-10, §3 and §4.

use std::sync::OnceLock;

use http::HeaderValue;
use http::header::HeaderName;
use mt_core::limit::{Decision, Quota};
use smallvec::SmallVec;

use crate::problem::whole_seconds;

pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How many quotas of one limit are kept as text: one for each of a few plans.
const KEPT: usize = 4;

/// What the limits are, as text made once.
#[derive(Debug, Default)]
pub(super) struct Policies([OnceLock<(Quota, HeaderValue)>; KEPT]);

impl Policies {
    /// What the limit is.
    pub(super) fn value(&self, name: &str, quota: Quota) -> HeaderValue {
        for place in &self.0 {
            let (of, value) = place.get_or_init(|| (quota, policy_value(name, quota)));
            if *of == quota {
                return value.clone();
            }
        }
        policy_value(name, quota)
    }
}

fn policy_value(name: &str, quota: Quota) -> HeaderValue {
    // The field knows whole seconds only, and a window of none would mean nothing.
    let window = whole_seconds(quota.window).max(1);
    item(name, [("q", quota.limit.get().into()), ("w", window)])
}

/// The fields `RateLimit-Policy` and `RateLimit` of an answer, for limits that are counted elsewhere than in a
/// [`RateLimit`](super::RateLimit).
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use mt_core::limit::{Quota, Decision};
/// use mt_tower::rate_limit::limit_fields;
///
/// let twenty = Quota::per_minute(NonZeroU32::new(20).unwrap());
/// let decision = Decision::of_hits(21, twenty.limit, Duration::from_secs(42));
/// let [policy, state] = limit_fields("invites", twenty, decision);
/// assert_eq!(policy.0.as_str(), "ratelimit-policy");
/// assert_eq!(policy.1, "\"invites\";q=20;w=60");
/// assert_eq!(state.0.as_str(), "ratelimit");
/// assert_eq!(state.1, "\"invites\";r=0;t=42");
/// ```
///
/// # Panics
///
/// When `name` is empty or has other characters than ASCII letters, digits, `-` and `_`.
#[must_use]
pub fn limit_fields(
    name: &str,
    quota: Quota,
    decision: Decision,
) -> [(HeaderName, HeaderValue); 2] {
    assert!(is_plain(name), "`{name}` cannot name a policy");
    [(POLICY, policy_value(name, quota)), (RATE_LIMIT, rate_limit_value(name, decision))]
}

/// Whether `name` may name a policy: fit for a quoted string of RFC 9651 without escapes.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.bytes().all(plain)
}

/// Where the client stands.
pub(super) fn rate_limit_value(name: &str, decision: Decision) -> HeaderValue {
    let reset = whole_seconds(decision.reset_after);
    item(name, [("r", decision.remaining.into()), ("t", reset)])
}

/// An item of a list of RFC 9651: a string with two numbers as parameters.
fn item(name: &str, parameters: [(&str, u64); 2]) -> HeaderValue {
    // Written on the stack first, so that the value allocates what it needs, once.
    let mut text = SmallVec::<[u8; 96]>::new();
    text.push(b'"');
    text.extend_from_slice(name.as_bytes());
    text.push(b'"');
    let mut digits = itoa::Buffer::new();
    for (key, number) in parameters {
        text.push(b';');
        text.extend_from_slice(key.as_bytes());
        text.push(b'=');
        text.extend_from_slice(digits.format(number).as_bytes());
    }
    HeaderValue::from_bytes(&text).expect("a policy's name and numbers are plain ASCII")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn quota(limit: u32, window: Duration) -> Quota {
        Quota::new(NonZeroU32::new(limit).unwrap(), window)
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(policy_value("a", quota(20, Duration::from_mins(1))), "\"a\";q=20;w=60");
        assert_eq!(policy_value("a", quota(20, Duration::from_millis(200))), "\"a\";q=20;w=1");
        let decision =
            Decision::of_hits(1, NonZeroU32::new(20).unwrap(), Duration::from_millis(41_001));
        assert_eq!(rate_limit_value("a", decision), "\"a\";r=19;t=42");
    }

    #[test]
    fn more_quotas_than_are_kept_are_told_apart() {
        let policies = Policies::default();
        for _ in 0..2 {
            for limit in 1..=10 {
                let value = policies.value("a", quota(limit, Duration::from_mins(1)));
                assert_eq!(value, format!("\"a\";q={limit};w=60"));
            }
        }
    }
}
