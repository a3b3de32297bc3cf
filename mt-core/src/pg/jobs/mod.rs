//! Jobs: work without a request, enqueued by the transaction that wants it.
//!
//! * **No job without its transaction, none lost after it.** A job is a row that the transaction inserts.
//! * **The effect exactly once.** A job runs in a transaction of its tenant, which also marks it as done, fenced by the
//!   token of its lease. What cannot be rolled back goes through the [`outbox`](crate::pg::ledger::outbox).
//! * **Authority is fixed when a job is enqueued, and decided when it runs**: as the principal that enqueued it, as a
//!   declared service, or both ([`AsPrincipal`], [`AsService`], [`AsBoth`]).
//! * **Tenants take turns**, however many jobs each of them has, and one alone uses every worker.
//!
//! ```text
//! enqueue ─┬──────────→ ready ── claim ─→ running ─┬─ effect and mark ────────────→ done
//!          └→ scheduled ─↑ ↑                │ │    ├─ refused, out of attempts ───→ dead
//!                 ↑        └── lease over ──┘ │    └─ by a tenant or an operator ─→ cancelled
//!                 └──── failed or deferred ───┘
//! ```
//!
//! # When an attempt does not succeed
//!
//! | what happened | what becomes of the job |
//! | --- | --- |
//! | the handler failed, panicked, took too long, or the database failed | again, with backoff, up to [`RetryPolicy::max_attempts`] |
//! | its process was killed | again, when its lease is over; that counts as a failure |
//! | the tenant is suspended or has not paid; the handler has deferred it | again, with backoff, up to [`RetryPolicy::max_age`] |
//! | the principal was removed, demoted or signed out; the payload does not fit | dead |
//!
//! # The order of jobs
//!
//! Each job that becomes ready gets a turn: the turn of the job that was claimed last, or the one after its tenant's last,
//! whichever is later. Claims go by turn. So a job of a tenant that has no other waits for at most one job of each tenant
//! that has. Two exceptions are small: jobs that transactions of one tenant enqueue at the same time may get the same
//! turn, and a retry is a new turn, behind the other jobs of its tenant.

mod attempt;
mod authority;
mod claim;
mod credential;
mod engine;
mod entry;
mod envelope;
mod handler;
mod heartbeat;
mod job;
mod new_job;
mod operate;
mod policy;
mod promote;
mod retention;
mod run;
mod schedule;
mod scheduler;
mod settle;
mod stats;
mod worker;

pub use self::authority::{AsBoth, AsPrincipal, AsService, EnqueuedBy, JobAuthority, RunsAs};
pub use self::engine::Jobs;
pub use self::entry::{JobEntry, JobFilter, JobStatus, find, list};
pub use self::envelope::{EnvelopeKey, JobEnvelope};
pub use self::handler::{JobError, JobHandler, JobRun};
pub use self::job::{Job, JobTx};
pub use self::new_job::{Enqueued, NewJob, enqueue};
pub use self::operate::{Changed, cancel, cancel_any, retry};
pub use self::policy::{JobPolicy, JobWorkers};
pub use self::retention::purge;
pub use self::schedule::{Schedule, ScheduleError};
pub use self::stats::{JobBacklog, JobStats, backlog};
pub use crate::pg::work::failure::Failure;
pub use crate::pg::work::retry::RetryPolicy;
pub use crate::pg::work::wake_up::WakeUp;
