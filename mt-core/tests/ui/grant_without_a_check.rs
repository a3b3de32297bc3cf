//! A grant comes out of `Access::authorize`, and neither out of a constructor nor out of a copy.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::{Access, Grant};

fn calls_the_constructor(access: Access<Acme>) -> Grant<ProjectsRead> {
    Grant::new(access)
}

fn copies(grant: &Grant<ProjectsRead>) -> Grant<ProjectsRead> {
    Grant::clone(grant)
}

fn main() {}
