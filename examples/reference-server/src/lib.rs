//! A product on `mt`: teams manage projects and tasks.
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | what the environment says, read once and checked as a whole |
//! | [`http`] | what all routes share: problems, strict bodies, pages, the shell around the router |
//! | [`logging`] | the log, on stderr |
//! | [`routes`] | the API |

pub mod config;
pub mod http;
pub mod logging;
pub mod routes;
