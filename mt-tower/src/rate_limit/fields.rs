//! The two fields of draft-ietf-httpapi-ratelimit-headers-10, §3 and §4.

use http::HeaderValue;
use http::header::HeaderName;
use mt_core::limit::{Quota, Verdict};

use crate::problem::whole_seconds;

pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What the limit is.
pub(super) fn policy_value(name: &str, quota: Quota) -> HeaderValue {
    // The field knows whole seconds only, and a window of none would mean nothing.
    let window = whole_seconds(quota.window).max(1);
    value(format!("\"{name}\";q={};w={window}", quota.limit))
}

/// Where the client stands.
pub(super) fn rate_limit_value(name: &str, verdict: Verdict) -> HeaderValue {
    let reset = whole_seconds(verdict.reset_after);
    value(format!("\"{name}\";r={};t={reset}", verdict.remaining))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("a policy's name and numbers are plain ASCII")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let quota = |window| Quota::new(NonZeroU32::new(20).unwrap(), window);
        assert_eq!(policy_value("a", quota(Duration::from_mins(1))), "\"a\";q=20;w=60");
        assert_eq!(policy_value("a", quota(Duration::from_millis(200))), "\"a\";q=20;w=1");
        let verdict = Verdict::on(1, NonZeroU32::new(20).unwrap(), Duration::from_millis(41_001));
        assert_eq!(rate_limit_value("a", verdict), "\"a\";r=19;t=42");
    }
}
