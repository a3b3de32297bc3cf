//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `commands` | operators' commands for the command line of a service | `commands`, `jobs-command` |
//! | `doctor` | checks of a database, its schema and its isolation, as text, JSON or SARIF | `doctor` |
//! | `log` | the log on stderr, the span of a request, the export of traces | `log`, `otlp` |
//! | `metrics` | metrics for Prometheus: requests, guards, rate limits, the pool, the ledger, the outbox, jobs | `metrics` |
//! | `observe` | observers of requests, for metrics | `observe` |
//! | `output` | what commands print, and their errors | `commands`, `doctor`, `jobs-command` |
//! | `serve` | the listening socket: connections with deadlines and limits, a graceful stop | `serve` |
//! | `settings` | settings from the environment, validated as a whole; the groups that most services have | `settings`, `mail`, `redis` |
//! | `workers` | the tasks behind requests: webhook events, outbox messages, jobs, expired data | `workers` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod causes;
#[cfg(feature = "jobs-command")]
pub mod commands;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "observe")]
pub mod observe;
#[cfg(any(feature = "doctor", feature = "jobs-command"))]
pub mod output;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "settings")]
pub mod settings;
#[cfg(feature = "workers")]
pub mod workers;

pub use self::causes::with_causes;
