//! A grant comes out of `Access::authorize`, and not out of a constructor.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, ProjectsRead};
use mt_core::access::{Access, Grant};

fn calls_the_constructor(access: Access<Acme>) -> Grant<ProjectsRead> {
    Grant::new(access)
}

fn main() {}
