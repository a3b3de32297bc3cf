//! A product on `mt`: teams manage projects and tasks.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`] | the state that handlers share |
//! | [`billing`] | the server's side of Stripe |
//! | [`cli`] | the commands of `mt-server` |
//! | [`config`] | the settings, read once from the environment and checked as a whole |
//! | [`demo`] | the whole flow, as a client sees it |
//! | [`doctor`] | checks of settings, database, isolation, Redis and Stripe |
//! | `endpoints` | the ready-made endpoints that the server mounts |
//! | [`http`] | the shell around the router, connections, strict bodies, pages, entity tags, OpenAPI |
//! | [`inventory`] | which tables are exported, imported and deleted with an org |
//! | [`layers`] | which of `mt-tower`'s guards stand in front of which routes |
//! | [`limits`] | the server's rate limits |
//! | [`metrics`] | what Prometheus scrapes |
//! | [`model`] | roles, plans, permissions and caps |
//! | [`product`] | projects and tasks, with their SQL |
//! | [`routes`] | the API, one module for each noun |
//! | [`schema`] | the migrations |
//! | [`seed`] | data to look at, or to put load on |
//! | [`server`] | from settings to a service that is ready for a socket |

pub mod app;
pub mod billing;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
mod endpoints;
pub mod http;
pub mod inventory;
pub mod layers;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod product;
mod refusals;
pub mod routes;
pub mod schema;
pub mod seed;
pub mod server;
mod strangers;
