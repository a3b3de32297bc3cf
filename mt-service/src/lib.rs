//! What a multi-tenant service needs around its endpoints.
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | `commands` | operators' commands for the command line of a service | `commands` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod causes;
#[cfg(feature = "commands")]
pub mod commands;

pub use self::causes::with_causes;
