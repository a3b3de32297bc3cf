//! `mt new`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use mt_service::output::{CommandError, print};

use crate::database::is_name;

/// The files of a service on axum. The test `template` compares them with the quickstart of the repository.
const FILES: [(&str, &str); 12] = [
    ("Cargo.toml", include_str!("../template/axum/Cargo.toml.txt")),
    ("build.rs", include_str!("../template/axum/build.rs")),
    ("README.md", include_str!("../template/axum/README.md")),
    ("deny.toml", include_str!("../template/axum/deny.toml")),
    ("migrations/0001_notes.sql", include_str!("../template/axum/migrations/0001_notes.sql")),
    ("src/lib.rs", include_str!("../template/axum/src/lib.rs")),
    ("src/main.rs", include_str!("../template/axum/src/main.rs")),
    ("tests/it/main.rs", include_str!("../template/axum/tests/it/main.rs")),
    ("tests/it/matrix.txt", include_str!("../template/axum/tests/it/matrix.txt")),
    ("tests/it/policy.txt", include_str!("../template/axum/tests/it/policy.txt")),
    ("rustfmt.toml", include_str!("../template/axum/rustfmt.toml")),
    (".gitignore", "/target\n"),
];

/// The arguments of `mt new`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What a tenant is called, in the singular, such as `shop`: lower-case letters, digits and `_`. The folder is
    /// called so too.
    #[arg(value_parser = name)]
    name: String,
    /// Uses axum, which is the only framework so far.
    #[arg(long, required = true)]
    axum: bool,
    /// A checkout of mt to depend on, instead of its repository.
    #[arg(long, value_name = "FOLDER")]
    mt_path: Option<PathBuf>,
}

fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected up to 40 lower-case letters, digits and `_`, beginning with a letter"
            .to_owned())
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let name = arguments.name.as_str();
    let folder = Path::new(name);
    if folder.exists() {
        return Err(format!("`{name}` is there already").into());
    }
    let source = match &arguments.mt_path {
        Some(path) => {
            let path = path.canonicalize().map_err(|error| {
                format!("`{}` is not a checkout of mt: {error}", path.display())
            })?;
            let path = path.join("mt").display().to_string();
            format!("path = {path:?}")
        }
        None => format!("git = {:?}", env!("CARGO_PKG_REPOSITORY")),
    };
    for (file, text) in FILES {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, filled(text, name, &source))?;
    }
    // Where a line ends depends on the name. Without rustfmt the service is as good, and its lines are longer or shorter.
    let _ = Command::new("cargo").arg("fmt").current_dir(folder).output();
    print(&format!(
        "created {name}\n\n\
         cd {name}\n\
         cargo test\n\n\
         The test needs MT_TEST_DATABASE_URL, the URL of a superuser of a Postgres for tests.\n\
         README.md says how to run the service.\n"
    ))
}

/// Puts the name into a file of the template, whose service is called `notebook`.
fn filled(text: &str, name: &str, source: &str) -> String {
    let model: String = name.split('_').map(capitalised).collect();
    text.replace("$MT_SOURCE", source).replace("Notebook", &model).replace("notebook", name)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let text = "pub Notebook; /notebooks/{notebook_id} $MT_SOURCE";
        let filled = filled(text, "repair_shop", "path = \"x\"");
        assert_eq!(filled, "pub RepairShop; /repair_shops/{repair_shop_id} path = \"x\"");
        for other in ["", "Shop", "a-b", "1a", "é", &"a".repeat(41)] {
            assert!(name(other).is_err(), "{other}");
        }
    }
}
