//! Whether a permission writes has to be said.

#[path = "model/mod.rs"]
mod model;

use model::{Acme, Perm};
use mt_core::access::{Billing, Permission};

struct Vague;

impl Permission for Vague {
    type Model = Acme;
    const KEY: Perm = Perm::ProjectsRead;
    const BILLING: Billing = Billing::Required;
}

fn main() {}
