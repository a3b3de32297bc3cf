//! How requests are counted against a quota: pure functions of the state of a key.

use std::time::Duration;

use super::{Decision, Quota};

/// The algorithm that counts against a [`Quota`].
///
/// | policy | allows at most | state of a key |
/// | --- | --- | --- |
/// | fixed window | twice the limit around the edge of two windows | a count |
/// | GCRA | the limit at once, then one every `window / limit` | a time |
///
/// In a fixed window refused requests count too, which changes nothing. With GCRA they do not: a client that
/// keeps sending is allowed as many as it would be otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Policy {
    /// Windows that begin with the first request of their key.
    #[default]
    FixedWindow,
    /// The generic cell rate algorithm of ITU-T I.371: a bucket that leaks evenly.
    Gcra,
}

/// The state of a key. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Fixed {
        since: i64,
        hits: u32,
    },
    Gcra {
        /// When the bucket will be empty.
        empty: i64,
    },
}

impl State {
    /// When the state can be forgotten.
    pub(super) fn ends(self, window: Duration) -> i64 {
        let window = micros(window);
        match self {
            Self::Fixed { since, .. } => since.saturating_add(window),
            Self::Gcra { empty } => empty,
        }
    }

    /// The latest [end](Self::ends) of a state that was made at `now` or before.
    pub(super) fn latest_end(window: Duration, now: i64) -> i64 {
        now.saturating_add(micros(window))
    }
}

/// Counts one request at `now`. Returns the new state and the decision.
pub(super) fn count(before: Option<State>, quota: Quota, now: i64) -> (State, Decision) {
    match quota.policy {
        Policy::FixedWindow => fixed(before, quota, now),
        Policy::Gcra => gcra(before, quota, now),
    }
}

fn fixed(before: Option<State>, quota: Quota, now: i64) -> (State, Decision) {
    let window = micros(quota.window);
    let (since, hits) = match before {
        Some(State::Fixed { since, hits })
            if (since..since.saturating_add(window)).contains(&now) =>
        {
            (since, hits.saturating_add(1))
        }
        _ => (now, 1),
    };
    let left = span(since.saturating_add(window).saturating_sub(now));
    (State::Fixed { since, hits }, Decision::of_hits(hits.into(), quota.limit, left))
}

fn gcra(before: Option<State>, quota: Quota, now: i64) -> (State, Decision) {
    let window = micros(quota.window);
    let each = (window / i64::from(quota.limit.get())).max(1);
    let empty = match before {
        // Further off than a full bucket can only be a clock that was set back.
        Some(State::Gcra { empty }) => empty.clamp(now, now.saturating_add(window)),
        _ => now,
    };
    let used = empty.saturating_add(each).saturating_sub(now);
    if used <= window {
        let decision = Decision {
            allowed: true,
            remaining: u32::try_from((window - used) / each).unwrap_or(u32::MAX),
            reset_after: span(used),
            retry_after: Duration::ZERO,
        };
        return (State::Gcra { empty: now.saturating_add(used) }, decision);
    }
    let decision = Decision {
        allowed: false,
        remaining: 0,
        reset_after: span(empty - now),
        retry_after: span(used - window),
    };
    (State::Gcra { empty }, decision)
}

/// At least one, because the window is divided by.
fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// A hundred years.
const LONGEST: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
