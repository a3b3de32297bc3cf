//! Whether an unpaid tenant has a permission has to be said.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, Perm};
use mt_core::access::{Permission, Reads};

struct Unbilled;

impl Permission for Unbilled {
    type Model = Acme;
    type Effect = Reads;
    const KEY: Perm = Perm::ProjectsRead;
}

fn main() {}
