//! When the key set of a provider is fetched; pure decisions.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The times that fetching goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// The age at which the keys are fetched again.
    pub(super) refresh_after: Duration,
    /// The time from the start of one fetch to that of the next, at least.
    pub(super) interval: Duration,
    /// The age beyond which keys do not work.
    pub(super) max_staleness: Duration,
}

/// What was fetched until now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// When the keys in use were fetched.
    pub(super) fetched: Option<DateTime<Utc>>,
    /// When the latest fetch began.
    pub(super) began: Option<DateTime<Utc>>,
    /// Whether a fetch is under way.
    pub(super) is_under_way: bool,
    /// Whether the latest fetch that ended has failed.
    pub(super) has_failed: bool,
}

/// What a request does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Use the key.
    Use,
    /// Start a fetch in the background, and use the key.
    UseAndFetch,
    /// Wait for the fetch that is under way.
    Wait,
    /// Start a fetch, and wait for it.
    FetchAndWait,
    /// Refuse the token: the provider has no such key.
    Refuse,
    /// Answer that the token cannot be checked at present.
    Unavailable,
}

impl Schedule {
    pub(super) const DEFAULT: Self = Self {
        refresh_after: Duration::from_mins(5),
        interval: Duration::from_secs(10),
        max_staleness: Duration::from_hours(24),
    };

    pub(super) fn is_sound(&self) -> bool {
        Duration::from_secs(1) <= self.interval
            && self.interval <= self.refresh_after
            && self.refresh_after <= self.max_staleness
    }

    /// Decides for a token at `now`. `has_key`: the keys that were fetched contain the one that the token names.
    /// `has_waited`: the request has waited for a fetch, and does not wait again.
    ///
    /// A request with a known key never waits, and fetches begin at most once in an interval, whatever tokens name.
    pub(super) fn step(
        &self,
        progress: &Progress,
        now: DateTime<Utc>,
        has_key: bool,
        has_waited: bool,
    ) -> Step {
        let is_usable = progress.fetched.is_some_and(|at| !is_older(self.max_staleness, at, now));
        let may_begin = !progress.is_under_way
            && progress.began.is_none_or(|at| has_passed(self.interval, at, now));
        if is_usable && has_key {
            let is_due = progress.fetched.is_none_or(|at| has_passed(self.refresh_after, at, now));
            return if is_due && may_begin { Step::UseAndFetch } else { Step::Use };
        }
        match (progress.is_under_way, may_begin) {
            (true, _) if !has_waited => Step::Wait,
            (_, true) if !has_waited => Step::FetchAndWait,
            // The provider was asked a moment ago, and has no such key.
            _ if is_usable && !progress.has_failed => Step::Refuse,
            _ => Step::Unavailable,
        }
    }
}

/// Whether `then` is more than `span` ago. A time in the future is not: keys outlast a clock that is set back.
fn is_older(span: Duration, then: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - then).to_std().is_ok_and(|age| age > span)
}

/// The same, but a time in the future counts as long ago: a clock that is set back stops no fetch.
fn has_passed(span: Duration, then: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - then).to_std().map_or(true, |age| age > span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        refresh_after: Duration::from_mins(5),
        interval: Duration::from_secs(10),
        max_staleness: Duration::from_hours(1),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    /// Keys that were fetched at 0.
    fn fetched() -> Progress {
        Progress { fetched: Some(at(0)), began: Some(at(0)), ..Progress::default() }
    }

    #[test]
    fn known_key_is_used_without_waiting_until_it_is_too_stale() {
        for (now, under_way, expected) in [
            (0, false, Step::Use),
            (300, false, Step::Use),
            (301, false, Step::UseAndFetch),
            (301, true, Step::Use),
            (3600, false, Step::UseAndFetch),
            (3600, true, Step::Use),
            (3601, false, Step::FetchAndWait),
            (3601, true, Step::Wait),
            // The clock was set back.
            (-1, false, Step::UseAndFetch),
        ] {
            let progress = Progress { is_under_way: under_way, ..fetched() };
            assert_eq!(SCHEDULE.step(&progress, at(now), true, false), expected, "{now}");
        }
        // During an outage: again after the interval, and not before.
        let outage = Progress { began: Some(at(400)), has_failed: true, ..fetched() };
        assert_eq!(SCHEDULE.step(&outage, at(410), true, false), Step::Use);
        assert_eq!(SCHEDULE.step(&outage, at(411), true, false), Step::UseAndFetch);
        let stale = Progress { began: Some(at(3600)), ..outage };
        assert_eq!(SCHEDULE.step(&stale, at(3605), true, false), Step::Unavailable);
    }

    #[test]
    fn unknown_key_begins_one_fetch_in_an_interval() {
        for (now, expected) in [(5, Step::Refuse), (10, Step::Refuse), (11, Step::FetchAndWait)] {
            assert_eq!(SCHEDULE.step(&fetched(), at(now), false, false), expected, "{now}");
        }
        let under_way = Progress { is_under_way: true, began: Some(at(11)), ..fetched() };
        assert_eq!(SCHEDULE.step(&under_way, at(12), false, false), Step::Wait);
        // Having waited, it does not wait again, even for the fetch of another request.
        assert_eq!(SCHEDULE.step(&under_way, at(12), false, true), Step::Refuse);
        assert_eq!(SCHEDULE.step(&fetched(), at(60), false, true), Step::Refuse);
    }

    #[test]
    fn unknown_key_is_not_refused_while_the_provider_cannot_be_asked() {
        let outage = Progress { began: Some(at(60)), has_failed: true, ..fetched() };
        assert_eq!(SCHEDULE.step(&outage, at(65), false, false), Step::Unavailable);
        assert_eq!(SCHEDULE.step(&outage, at(71), false, false), Step::FetchAndWait);
        assert_eq!(SCHEDULE.step(&outage, at(71), false, true), Step::Unavailable);
    }

    #[test]
    fn without_keys_a_token_cannot_be_checked() {
        let fresh = Progress::default();
        assert_eq!(SCHEDULE.step(&fresh, at(0), false, false), Step::FetchAndWait);
        let failed = Progress { began: Some(at(0)), has_failed: true, ..fresh };
        assert_eq!(SCHEDULE.step(&failed, at(1), false, true), Step::Unavailable);
        assert_eq!(SCHEDULE.step(&failed, at(9), false, false), Step::Unavailable);
        assert_eq!(SCHEDULE.step(&failed, at(11), false, false), Step::FetchAndWait);
    }
}
