//! The tools of `mt_core::testing`: test databases, and checks of isolation that embedders run.

mod isolation_checks;
mod test_database;
