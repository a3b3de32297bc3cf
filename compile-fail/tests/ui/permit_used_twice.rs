//! One count is permit for one row.

#[path = "model/mod.rs"]
mod model;

use model::Projects;
use mt_core::pg::CapPermit;

fn insert(_: CapPermit<Projects>) {}

fn fills(permit: CapPermit<Projects>) {
    insert(permit);
    insert(permit);
}

fn main() {}
