//! A grant cannot be put together from its parts.

#[path = "model/mod.rs"]
mod model;

use std::marker::PhantomData;

use model::{Acme, ProjectsRead};
use mt_core::access::{Access, Grant};

fn forges(access: Access<Acme>) -> Grant<ProjectsRead> {
    Grant { access, permission: PhantomData }
}

fn main() {}
