//! The layer around guards: its contract with tower services, tuples of guards, and allocations.

mod allocations;
mod contract;
mod guard_tuples;
