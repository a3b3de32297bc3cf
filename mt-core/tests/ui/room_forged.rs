//! Room comes out of a count, or out of an `assertion` that can be searched for.

#[path = "model/mod.rs"]
mod model;

use std::marker::PhantomData;

use model::Projects;
use mt_core::pg::Room;

fn forges() -> Room<Projects> {
    Room { resource: PhantomData }
}

fn main() {}
