//! Names of schemas and operations, out of the names that Rust has for them.
//!
//! A schema is named like its type, without module paths and without the endings that tell a type apart
//! from another in Rust alone; an operation like its handler, with the module: `projects.create`.

use std::any::TypeId;
use std::sync::Once;

use salvo_oapi::naming::{NameRule, Namer, name_by_type_name, set_name_type_info, set_namer};

/// Endings that say what a type is to Rust.
const ENDINGS: [&str; 2] = ["Body", "View"];

/// Has salvo name things like this.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| set_namer(Names));
}

struct Names;

impl Namer for Names {
    fn assign_name(&self, id: TypeId, type_name: &'static str, rule: NameRule) -> String {
        let name = match rule {
            NameRule::Auto => name_of(type_name),
            NameRule::Force(name) => name.to_owned(),
        };
        set_name_type_info(name.clone(), id, type_name);
        name
    }
}

/// `a::Listing<b::InviteView>` is an `InviteListing`, `a::projects::create` is `projects.create`.
fn name_of(type_name: &str) -> String {
    let (outer, inner) = match type_name.split_once('<') {
        Some((outer, inner)) => (outer, inner.strip_suffix('>')),
        None => (type_name, None),
    };
    let inner = inner.map(|inner| name_by_type_name(inner).unwrap_or_else(|| name_of(inner)));
    let mut segments = outer.rsplit("::");
    let last = segments.next().unwrap_or(outer);
    if last.starts_with(|char: char| char.is_ascii_lowercase()) {
        let module = segments.next().unwrap_or_default();
        return format!("{module}.{last}");
    }
    let plain = ENDINGS.iter().find_map(|ending| last.strip_suffix(ending)).unwrap_or(last);
    inner.unwrap_or_default() + plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_endings_go() {
        for (type_name, name) in [
            ("reference_server::routes::projects::create", "projects.create"),
            ("reference_server::product::project::Project", "Project"),
            ("reference_server::routes::invites::InviteView", "Invite"),
            (
                "reference_server::http::page::Listing<reference_server::x::InviteView>",
                "InviteListing",
            ),
        ] {
            assert_eq!(name_of(type_name), name);
        }
    }
}
