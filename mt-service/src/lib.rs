//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `log` | the log on stderr, the span of a request, the export of traces | `log`, `otlp` |
//! | `metrics` | metrics for Prometheus: requests, guards, rate limits, the pool, the ledger, the outbox | `metrics` |
//! | `observe` | observers of requests, for metrics | `observe` |
//! | `settings` | settings from the environment, validated as a whole; the groups that most services have | `settings`, `mail`, `redis` |
//! | `serve` | the listening socket: connections with deadlines and limits, a graceful stop | `serve` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod causes;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "observe")]
pub mod observe;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "settings")]
pub mod settings;

pub use self::causes::with_causes;
