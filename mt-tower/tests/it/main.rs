//! The layers from outside, in one binary.

mod access;
mod allocations;
mod authenticate;
mod authorize;
mod frameworks;
mod in_axum;
mod layer;
mod observe;
mod problem;
mod rate_limit;
mod resolve_host;
mod resolve_tenant;
mod stack;
mod support;
mod trace;
