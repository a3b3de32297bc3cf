//! Whether an unpaid tenant has a permission has to be said.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, Perm};
use mt_core::access::{Effect, Permission};

struct Unbilled;

impl Permission for Unbilled {
    type Model = Acme;
    const KEY: Perm = Perm::ProjectsRead;
    const EFFECT: Effect = Effect::Read;
}

fn main() {}
