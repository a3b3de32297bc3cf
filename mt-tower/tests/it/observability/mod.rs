//! Decisions as observers receive them, and the fields of spans.

mod decisions;
mod spans;
