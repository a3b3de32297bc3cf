//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `settings` | settings from the environment, validated as a whole; the groups that most services have | `settings`, `mail`, `redis` |
//! | `serve` | the listening socket: connections with deadlines and limits, a graceful stop | `serve` |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "settings")]
pub mod settings;
