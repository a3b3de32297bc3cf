//! How jobs are tried, and by how many workers.

use std::time::Duration;

use crate::pg::work::retry::RetryPolicy;

/// How often and for how long a job is tried.
///
/// ```
/// use std::time::Duration;
///
/// use mt_core::pg::jobs::{JobPolicy, RetryPolicy};
///
/// let retry = RetryPolicy { max_attempts: 5, ..RetryPolicy::default() };
/// let policy = JobPolicy { retry, ..JobPolicy::default() };
/// assert_eq!(policy.time_limit, Duration::from_mins(5));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct JobPolicy {
    /// Attempts, waits, and the lease. A worker renews the lease three times in its length; after so much silence, another
    /// one takes the job over.
    pub retry: RetryPolicy,
    /// How long one attempt may take. One that takes longer is dropped, and has failed.
    pub time_limit: Duration,
}

impl Default for JobPolicy {
    /// The default [`RetryPolicy`], and five minutes.
    fn default() -> Self {
        Self { retry: RetryPolicy::default(), time_limit: Duration::from_mins(5) }
    }
}

/// How many workers a process has, and how they look for jobs.
#[derive(Clone, Copy, Debug)]
pub struct JobWorkers {
    /// How many jobs run at once in this process. Each needs a connection while it runs; leave some to requests.
    pub count: u16,
    /// How often the database is asked for jobs that are due, whose process was killed, or which another process has
    /// enqueued.
    pub poll: Duration,
    /// How long finished jobs are kept; `None` for ever.
    pub keep: Option<Duration>,
}

impl Default for JobWorkers {
    /// Four workers that poll each second, and jobs that are kept for 30 days.
    fn default() -> Self {
        Self { count: 4, poll: Duration::from_secs(1), keep: Some(Duration::from_hours(24 * 30)) }
    }
}
