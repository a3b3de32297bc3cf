//! A product on `mt`: teams manage projects and tasks.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`] | what handlers work with |
//! | [`archive`] | an org as a file, and a new org from one |
//! | [`billing`] | the server's side of Stripe |
//! | [`bulkhead`] | no org gets the whole server |
//! | [`cli`] | the commands of `mt-server` |
//! | [`demo`] | the whole flow, as a client sees it |
//! | [`doctor`] | whether a server with these settings could serve, and would keep tenants apart |
//! | [`config`] | what the environment says, read once and checked as a whole |
//! | [`embedded`] | Postgres inside the process, for a machine that has none |
//! | [`http`] | what all routes share: problems, strict bodies, pages, the shell around the router |
//! | [`layers`] | which of `mt-tower`'s guards stand where |
//! | [`logging`] | the log, on stderr, and traces |
//! | [`mail`] | magic links and invites by SMTP |
//! | [`metrics`] | what Prometheus reads |
//! | [`model`] | roles, plans, permissions and caps: everything that decides |
//! | [`product`] | projects and tasks, with their SQL |
//! | [`routes`] | the API |
//! | [`schema`] | the migrations |
//! | [`seed`] | something to look at, or to put load on |
//! | [`server`] | from settings to a service that is ready to be put on a socket |

pub mod app;
pub mod archive;
pub mod billing;
pub mod bulkhead;
mod causes;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod embedded;
mod housekeeping;
pub mod http;
pub mod layers;
pub mod limits;
pub mod logging;
pub mod mail;
pub mod metrics;
pub mod model;
mod pages;
pub mod product;
mod refusals;
pub mod routes;
pub mod schema;
pub mod seed;
pub mod server;
#[cfg(feature = "otlp")]
mod traces;
