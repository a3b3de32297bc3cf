//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `serve` | the listening socket: connections with deadlines and limits, a graceful stop | `serve` |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "serve")]
pub mod serve;
