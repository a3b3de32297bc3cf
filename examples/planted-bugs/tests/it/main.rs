//! Enables the planted bugs one by one and runs the tool that has to find each.

mod detection;
mod report;
mod support;
