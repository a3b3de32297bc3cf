//! Integration tests of the layers.

mod frameworks;
mod guards;
mod layer;
mod observability;
mod problem;
mod support;
