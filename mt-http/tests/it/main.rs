//! The endpoints on a database, for a product that calls its tenants shops.

mod api_keys;
mod decision_order;
mod flow;
mod guards;
mod openapi;
mod requests;
mod roles;
mod shop;
mod socket;
