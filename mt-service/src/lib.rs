//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `commands` | operators' commands for the command line of a service | `commands` |
//! | `doctor` | checks of a database, its schema and its isolation, as text, JSON or SARIF | `doctor` |
//! | `output` | what commands print, and their errors | `commands`, `doctor` |
//! | `workers` | the tasks behind requests: webhook events, outbox messages, expired data | `workers` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod causes;
#[cfg(feature = "commands")]
pub mod commands;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(any(feature = "commands", feature = "doctor"))]
pub mod output;
#[cfg(feature = "workers")]
pub mod workers;

pub use self::causes::with_causes;
