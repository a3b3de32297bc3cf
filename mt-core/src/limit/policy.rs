//! How requests are counted against a quota: pure decisions on what is remembered of a key.

use std::time::Duration;

use super::{Quota, Verdict};

/// How a [`Quota`] is read.
///
/// | policy | lets through at most | and remembers |
/// | --- | --- | --- |
/// | fixed window | twice the limit around the edge of two windows | a count |
/// | sliding window | about the limit in any window | two counts |
/// | GCRA | the limit at once, then one every `window / limit` | a time |
///
/// In a fixed window refused requests count too, which changes nothing. In the other two they do not: a
/// client that keeps on knocking gets what it would get otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Policy {
    /// Windows that begin with the first request of their key.
    #[default]
    FixedWindow,
    /// Windows by the clock, of which the one before counts with the share of it that lies within
    /// the last `window`.
    SlidingWindow,
    /// The generic cell rate algorithm of ITU-T I.371: a bucket that leaks evenly.
    Gcra,
}

/// What is remembered of a key. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Fixed {
        since: i64,
        hits: u32,
    },
    Sliding {
        /// Windows since 1970.
        number: i64,
        current: u32,
        previous: u32,
    },
    Gcra {
        /// When as much as was used will have leaked.
        empty: i64,
    },
}

impl State {
    /// When the state says nothing any more.
    pub(super) fn ends(self, window: Duration) -> i64 {
        let window = micros(window);
        match self {
            Self::Fixed { since, .. } => since.saturating_add(window),
            Self::Sliding { number, .. } => number.saturating_add(2).saturating_mul(window),
            Self::Gcra { empty } => empty,
        }
    }

    /// The latest [end](Self::ends) of a state that was made by `now`.
    pub(super) fn latest_end(window: Duration, now: i64) -> i64 {
        now.saturating_add(2 * micros(window))
    }
}

/// Counts one request at `now`: what to remember, and what to say.
pub(super) fn count(before: Option<State>, quota: Quota, now: i64) -> (State, Verdict) {
    match quota.policy {
        Policy::FixedWindow => fixed(before, quota, now),
        Policy::SlidingWindow => sliding(before, quota, now),
        Policy::Gcra => gcra(before, quota, now),
    }
}

fn fixed(before: Option<State>, quota: Quota, now: i64) -> (State, Verdict) {
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
    (State::Fixed { since, hits }, Verdict::on(hits.into(), quota.limit, left))
}

fn sliding(before: Option<State>, quota: Quota, now: i64) -> (State, Verdict) {
    let (window, limit) = (micros(quota.window), i128::from(quota.limit.get()));
    let (number, elapsed) = (now.div_euclid(window), now.rem_euclid(window));
    let (current, previous) = match before {
        Some(State::Sliding { number: at, current, previous }) if at == number => {
            (current, previous)
        }
        Some(State::Sliding { number: at, current, .. }) if at == number - 1 => (0, current),
        _ => (0, 0),
    };
    let (w, left) = (i128::from(window), i128::from(window - elapsed));
    // In requests times microseconds, so that nothing is rounded.
    let free = |current: u32| limit * w - i128::from(previous) * left - i128::from(current) * w;
    let state = |current| State::Sliding { number, current, previous };
    if free(current) >= w {
        let current = current.saturating_add(1);
        let verdict = Verdict {
            allowed: true,
            remaining: u32::try_from(free(current) / w).unwrap_or(0),
            reset_after: span(2 * window - elapsed),
            retry_after: Duration::ZERO,
        };
        return (state(current), verdict);
    }
    // By waiting, the window before weighs less; and from the next window on, this one is that.
    let wait = if i128::from(current) < limit {
        left - (limit - i128::from(current) - 1) * w / i128::from(previous).max(1)
    } else {
        left + w - (limit - 1) * w / i128::from(current)
    };
    let verdict = Verdict {
        allowed: false,
        remaining: 0,
        reset_after: span(2 * window - elapsed),
        retry_after: span(i64::try_from(wait).unwrap_or(i64::MAX)),
    };
    (state(current), verdict)
}

fn gcra(before: Option<State>, quota: Quota, now: i64) -> (State, Verdict) {
    let window = micros(quota.window);
    let each = (window / i64::from(quota.limit.get())).max(1);
    let empty = match before {
        // Further off than a full bucket can only be a clock that was set back.
        Some(State::Gcra { empty }) => empty.clamp(now, now.saturating_add(window)),
        _ => now,
    };
    let used = empty.saturating_add(each).saturating_sub(now);
    if used <= window {
        let verdict = Verdict {
            allowed: true,
            remaining: u32::try_from((window - used) / each).unwrap_or(u32::MAX),
            reset_after: span(used),
            retry_after: Duration::ZERO,
        };
        return (State::Gcra { empty: now.saturating_add(used) }, verdict);
    }
    let verdict = Verdict {
        allowed: false,
        remaining: 0,
        reset_after: span(empty - now),
        retry_after: span(used - window),
    };
    (State::Gcra { empty }, verdict)
}

/// At least one: a window of none would divide by it.
fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// A hundred years.
const LONGEST: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
