//! When a job recurs.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use croner::Cron;

/// A schedule in the notation of cron, in UTC: minute, hour, day of the month, month, day of the week.
///
/// ```
/// use mt_core::pg::jobs::Schedule;
///
/// let nightly = Schedule::parse("30 3 * * *")?;
/// let weekdays_at_eight = Schedule::parse("0 8 * * MON-FRI")?;
/// assert!(Schedule::parse("30 25 * * *").is_err());
/// # Ok::<(), mt_core::pg::jobs::ScheduleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

/// A text that is not a schedule, or a schedule that has no time.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a schedule: {cause}")]
pub struct ScheduleError {
    text: String,
    cause: croner::errors::CronError,
}

impl Schedule {
    /// Reads a schedule, such as `30 3 * * *`. Names of months and days, `L` for the last day, and `@daily` and the like
    /// are understood too.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`], also for a schedule that never comes, such as February 30.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let read = || {
            let cron = Cron::from_str(text)?;
            cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true)?;
            Ok(Self(cron))
        };
        read().map_err(|cause| ScheduleError { text: text.to_owned(), cause })
    }

    /// The last tick up to `now`, if there was one.
    pub(super) fn last(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_previous_occurrence(&now, true).ok()
    }

    /// The first tick after `now`, if there is one.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&now, false).ok()
    }
}

/// How far a schedule has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reached {
    pub(super) tick: DateTime<Utc>,
    pub(super) is_finished: bool,
}

/// The step that a schedule takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It enqueues jobs of this tick, from the first tenant on.
    Begin(DateTime<Utc>),
    /// It enqueues the other jobs of the tick that it has begun.
    GoOn,
    /// It waits for the next tick.
    Wait,
}

/// Decides on the step. Of several ticks that were missed, the last one counts, and one that was begun is finished first.
pub(super) fn step(schedule: &Schedule, reached: Reached, now: DateTime<Utc>) -> Step {
    if !reached.is_finished {
        return Step::GoOn;
    }
    match schedule.last(now) {
        Some(tick) if tick > reached.tick => Step::Begin(tick),
        _ => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn missed_ticks_run_once() {
        let nightly = Schedule::parse("30 3 * * *").unwrap();
        let reached = |tick, is_finished| Reached { tick: at(tick), is_finished };
        let done = reached("2026-03-01T03:30:00Z", true);
        for (now, expected) in [
            ("2026-03-01T03:30:00Z", Step::Wait),
            ("2026-03-02T03:29:59Z", Step::Wait),
            ("2026-03-02T03:30:00Z", Step::Begin(at("2026-03-02T03:30:00Z"))),
            ("2026-03-09T12:00:00Z", Step::Begin(at("2026-03-09T03:30:00Z"))),
            // A clock that was set back.
            ("2026-02-01T00:00:00Z", Step::Wait),
        ] {
            assert_eq!(step(&nightly, done, at(now)), expected, "{now}");
        }
        let begun = reached("2026-03-01T03:30:00Z", false);
        assert_eq!(step(&nightly, begun, at("2026-03-09T12:00:00Z")), Step::GoOn);
        assert_eq!(nightly.next(at("2026-03-01T03:30:00Z")), Some(at("2026-03-02T03:30:00Z")));
    }

    #[test]
    fn texts_that_are_not_schedules_are_refused() {
        for text in ["", "* * * *", "61 * * * *", "0 0 30 2 *", "daily"] {
            let error = Schedule::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a schedule")), "{error}");
        }
        Schedule::parse("@daily").unwrap();
        Schedule::parse("0 8 * * MON-FRI").unwrap();
    }
}
