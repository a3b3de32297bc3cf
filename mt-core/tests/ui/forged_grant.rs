//! A grant comes out of `Access::authorize` and from nowhere else.

#[path = "model/mod.rs"]
mod model;

use std::marker::PhantomData;

use model::{Acme, ProjectsRead};
use mt_core::access::{Access, Grant};

fn forges(access: Access<Acme>) -> Grant<ProjectsRead> {
    Grant { access, permission: PhantomData }
}

fn calls_the_constructor(access: Access<Acme>) -> Grant<ProjectsRead> {
    Grant::new(access)
}

fn copies(grant: &Grant<ProjectsRead>) -> Grant<ProjectsRead> {
    Grant::clone(grant)
}

fn main() {}
