//! The engine: which jobs it runs, and when they recur.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::attempt::{Attempts, Of};
use super::authority::OpensTx as _;
use super::heartbeat::Heartbeat;
use super::job::is_name;
use super::scheduler::Recurring;
use super::{EnqueuedBy, Job, JobHandler, JobPolicy, JobStats, Schedule, WakeUp};
use crate::access::{AccessModel, Permission, ServiceAccess};
use crate::pg::{PgError, System, Tenants};

/// Runs jobs of the kinds that are [registered](Self::register). Any number of processes may.
/// `examples/helpdesk/src/purge.rs` in the repository has an example, which `docs/jobs.md` explains.
///
/// Jobs of a kind that no process has registered stay ready. Other jobs run, but each claim reads past them, so many of
/// them make claims slow. Retire a kind when its last job is finished, or cancel the rest.
pub struct Jobs<M: AccessModel> {
    pub(super) tenants: Tenants<M>,
    pub(super) system: System,
    pub(super) policy: JobPolicy,
    pub(super) handlers: HashMap<&'static str, Arc<dyn Attempts<M>>>,
    pub(super) wake_up: WakeUp,
    pub(super) stats: JobStats,
    pub(super) heartbeat: Heartbeat,
    pub(super) recurring: Vec<Recurring>,
}

impl<M: AccessModel> Jobs<M> {
    /// An engine for the tenants of one database, without a kind of job.
    #[must_use]
    pub fn new(tenants: &Tenants<M>, policy: JobPolicy) -> Self {
        Self {
            tenants: tenants.clone(),
            system: System::new(tenants.authority.pools.clone()),
            policy,
            handlers: HashMap::new(),
            wake_up: WakeUp::default(),
            stats: JobStats::default(),
            heartbeat: Heartbeat::default(),
            recurring: Vec::new(),
        }
    }

    /// Runs jobs `J` by `handler`.
    ///
    /// # Panics
    ///
    /// If [`Job::NAME`] has other characters than those allowed, or is registered already.
    #[must_use]
    pub fn register<J, H>(mut self, handler: H) -> Self
    where
        J: Job,
        J::Permission: Permission<Model = M>,
        H: JobHandler<J>,
    {
        assert!(is_name(J::NAME), "`{}` cannot be the name of a job", J::NAME);
        let handler: Arc<dyn Attempts<M>> = Arc::new(Of { handler, job: PhantomData::<fn() -> J> });
        let before = self.handlers.insert(J::NAME, handler);
        assert!(before.is_none(), "the job `{}` is registered twice", J::NAME);
        self
    }

    /// Enqueues `job` in every tenant at each time of `schedule`. It runs as its service.
    ///
    /// `name` names the schedule: the database stores by it which time was the last, so it never changes. Of times that
    /// were missed, the last one counts. Any number of processes may have the schedule; a tenant gets one job for each time,
    /// and none while the one before is unfinished. Tenants that refuse the service, such as suspended ones, defer it.
    ///
    /// ```
    /// # use mt_core::pg::jobs::{AsService, EnqueuedBy, Job, Jobs, Schedule, ScheduleError};
    /// # fn example<J>(jobs: Jobs<<J::Permission as mt_core::access::Permission>::Model>, purge: &J)
    /// #     -> Result<(), Box<dyn std::error::Error>>
    /// # where J: Job, J::Authority: EnqueuedBy<mt_core::access::ServiceAccess<<J::Permission as mt_core::access::Permission>::Model>> {
    /// let jobs = jobs.schedule("nightly purge", Schedule::parse("30 3 * * *")?, purge)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PgError::Database`] if the job cannot be written as JSON.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 200 bytes, or taken by another schedule.
    pub fn schedule<J>(
        mut self,
        name: &'static str,
        schedule: Schedule,
        job: &J,
    ) -> Result<Self, PgError>
    where
        J: Job,
        J::Permission: Permission<Model = M>,
        J::Authority: EnqueuedBy<ServiceAccess<M>>,
    {
        assert!((1..=200).contains(&name.len()), "`{name}` cannot be the name of a schedule");
        let is_taken = self.recurring.iter().any(|recurring| recurring.name == name);
        assert!(!is_taken, "there are two schedules `{name}`");
        let payload = serde_json::to_value(job)
            .map_err(|error| PgError::Database(sqlx::Error::Encode(Box::new(error))))?;
        let service = J::Authority::SERVICE.expect("a service's transaction enqueues it");
        self.recurring.push(Recurring { name, schedule, kind: J::NAME, service, payload });
        Ok(self)
    }

    /// Wakes a worker of this process. Call it after the commit that has enqueued a job; without it, the job waits for the
    /// next poll.
    #[must_use]
    pub fn wake_up(&self) -> WakeUp {
        self.wake_up.clone()
    }

    /// The counts of attempts in this process.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        self.stats.clone()
    }
}

impl<M: AccessModel> fmt::Debug for Jobs<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("kinds", &self.handlers.keys()).finish_non_exhaustive()
    }
}
