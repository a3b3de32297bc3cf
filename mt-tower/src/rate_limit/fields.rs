//! The two fields of draft-ietf-httpapi-ratelimit-headers-10, §3 and §4.

use std::sync::OnceLock;

use http::HeaderValue;
use http::header::HeaderName;
use mt_core::limit::{Quota, Verdict};
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

/// Where the client stands.
pub(super) fn rate_limit_value(name: &str, verdict: Verdict) -> HeaderValue {
    let reset = whole_seconds(verdict.reset_after);
    item(name, [("r", verdict.remaining.into()), ("t", reset)])
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
        let verdict = Verdict::on(1, NonZeroU32::new(20).unwrap(), Duration::from_millis(41_001));
        assert_eq!(rate_limit_value("a", verdict), "\"a\";r=19;t=42");
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
