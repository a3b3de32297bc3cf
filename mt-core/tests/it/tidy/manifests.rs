//! What the crates of the workspace may depend on, and that all have its lints.

use toml::Table;

use super::{File, assert_none, files};

/// What a crate may not have as a dependency; dev-dependencies are its own business. `deny.toml` says
/// the same of the whole graph.
const BANNED: [(&str, &[&str]); 9] = [
    (
        "mt-core",
        &[
            "axum",
            "http",
            "hyper",
            "lettre",
            "mt-http",
            "mt-mail",
            "mt-stripe",
            "mt-tower",
            "salvo",
            "tower",
            "tower-layer",
            "tower-service",
        ],
    ),
    ("mt-tower", &["axum", "hyper", "mt-stripe", "redis", "salvo", "sqlx", "tower"]),
    ("mt-stripe", &["axum", "hyper", "mt-tower", "redis", "salvo", "tower"]),
    (
        "mt-mail",
        &["axum", "http", "hyper", "mt-stripe", "mt-tower", "redis", "salvo", "sqlx", "tower"],
    ),
    ("mt-http", &["axum", "hyper", "lettre", "redis", "salvo", "sqlx", "tower"]),
    ("mt-axum", &["hyper", "mt-salvo", "mt-stripe", "redis", "salvo"]),
    ("mt-salvo", &["axum", "hyper", "mt-axum", "mt-stripe", "redis", "sqlx", "tower"]),
    ("mt-service", &["axum", "mt-axum", "mt-salvo", "redis", "salvo", "tower"]),
    ("mt-tonic", &["axum", "hyper", "mt-stripe", "redis", "salvo", "sqlx", "tower"]),
];

/// The optional dependencies of mt-core.
const OPTIONAL: [&str; 4] = ["jsonwebtoken", "redis", "reqwest", "sqlx"];

fn parse(file: &File) -> Option<(String, Table)> {
    if !file.path.ends_with("/Cargo.toml") {
        return None;
    }
    let manifest: Table = file.text.parse().expect("cargo has read it before");
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    Some((name, manifest))
}

/// The dependency tables that a user of the crate gets: of every platform, without `dev`.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &toml::Value)> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let platforms =
        platforms.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table);
    platforms
        .chain([manifest])
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)))
        .flatten()
        .filter_map(toml::Value::as_table)
        .flatten()
}

fn depends_lawfully(file: &File) -> Vec<String> {
    let Some((name, manifest)) = parse(file) else { return Vec::new() };
    let mut complaints = Vec::new();
    let banned = BANNED.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, banned)| *banned);
    for (key, value) in dependencies(&manifest) {
        // `{ package = "sqlx" }` under another key is still sqlx.
        let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
        if banned.contains(&package) {
            complaints.push(file.complaint(None, format!("{name} may not depend on {package}")));
        }
        let optional = value.get("optional").and_then(toml::Value::as_bool) == Some(true);
        if name == "mt-core" && OPTIONAL.contains(&package) && !optional {
            complaints.push(file.complaint(None, format!("{package} is behind a feature")));
        }
    }
    complaints
}

/// A library that is used for one thing does not bring the others: features add, from nothing.
fn has_no_default_features(file: &File) -> Vec<String> {
    let Some((name, manifest)) = parse(file) else { return Vec::new() };
    let default =
        manifest.get("features").and_then(|f| f.get("default")).and_then(|d| d.as_array());
    if BANNED.iter().any(|(of, _)| *of == name) && default.is_some_and(|d| !d.is_empty()) {
        return vec![file.complaint(None, "a library's default features are none")];
    }
    Vec::new()
}

fn has_the_workspace_lints(file: &File) -> Vec<String> {
    let Some((_, manifest)) = parse(file) else { return Vec::new() };
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if inherited.and_then(toml::Value::as_bool) == Some(true) {
        return Vec::new();
    }
    vec![file.complaint(None, "lacks `[lints] workspace = true`")]
}

#[track_caller]
fn holds(rule: fn(&File) -> Vec<String>) {
    assert_none(&files().iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn crates_depend_only_on_what_the_import_rules_allow() {
    holds(depends_lawfully);
    let fake = |name: &str, tables: &str| {
        depends_lawfully(&File::fake("a/Cargo.toml", &format!("package.name = '{name}'\n{tables}")))
    };
    for (name, tables) in [
        ("mt-core", "[dependencies]\nhttp = '1'"),
        ("mt-core", "[dependencies]\nsqlx.workspace = true"),
        ("mt-core", "[build-dependencies]\nsalvo = '1'"),
        ("mt-tower", "[dependencies]\ntower.workspace = true"),
        (
            "mt-tower",
            "[target.'cfg(unix)'.dependencies]\ndb = { package = 'sqlx', version = '0.9' }",
        ),
        ("mt-stripe", "[dependencies]\nmt-tower.workspace = true"),
        ("mt-http", "[dependencies]\naxum.workspace = true"),
        ("mt-mail", "[dependencies]\nhttp.workspace = true"),
        ("mt-mail", "[dependencies]\nsqlx.workspace = true"),
    ] {
        assert_eq!(fake(name, tables).len(), 1, "{name}: {tables}");
    }
    for (name, tables) in [
        ("mt-core", "[dependencies]\nsqlx = { workspace = true, optional = true }"),
        ("mt-tower", "[dev-dependencies]\ntower.workspace = true"),
        ("reference-server", "[dependencies]\nsalvo.workspace = true"),
    ] {
        assert!(fake(name, tables).is_empty(), "{name}: {tables}");
    }
}

#[test]
fn libraries_have_no_default_features() {
    holds(has_no_default_features);
    let text = "package.name = 'mt-core'\n[features]\ndefault = ['postgres']";
    assert_eq!(has_no_default_features(&File::fake("mt-core/Cargo.toml", text)).len(), 1);
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    holds(has_the_workspace_lints);
    for lints in ["", "[lints]\nworkspace = false", "[lints.rust]\nunsafe_code = 'allow'"] {
        let text = format!("package.name = 'a'\n{lints}");
        assert_eq!(has_the_workspace_lints(&File::fake("a/Cargo.toml", &text)).len(), 1, "{lints}");
    }
}
