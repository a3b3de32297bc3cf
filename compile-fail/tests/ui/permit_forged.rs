//! A permit comes out of a count, or out of an `assertion` that can be searched for.

#[path = "model/mod.rs"]
mod model;

use std::marker::PhantomData;

use model::Projects;
use mt_core::pg::CapPermit;

fn forges() -> CapPermit<Projects> {
    CapPermit { resource: PhantomData }
}

fn main() {}
