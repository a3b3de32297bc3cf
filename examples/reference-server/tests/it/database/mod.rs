//! The use of Postgres: query plans, round trips, statement parameters, and a pooler in between.

mod pgbouncer;
mod query_plans;
pub(crate) mod round_trips;
mod statement_parameters;
