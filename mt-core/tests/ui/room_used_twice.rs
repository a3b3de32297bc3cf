//! One count is room for one row.

#[path = "model/mod.rs"]
mod model;

use model::Projects;
use mt_core::pg::Room;

fn insert(_: Room<Projects>) {}

fn fills(room: Room<Projects>) {
    insert(room);
    insert(room);
}

fn main() {}
