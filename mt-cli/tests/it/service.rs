//! `mt new` and `mt add`: what they write, and what they refuse. `scripts/new-service` builds and tests a new service.

use std::fs;
use std::path::Path;

use crate::{mt, text};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/axum-quickstart");

#[test]
fn a_new_service_is_the_quickstart_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let made = mt(folder.path(), &["new", "notebook", "--axum"]);
    assert!(made.status.success(), "{}", text(&made));
    let new = folder.path().join("notebook");
    for file in [
        "build.rs",
        "src/lib.rs",
        "src/main.rs",
        "tests/it/main.rs",
        "tests/it/matrix.txt",
        "tests/it/policy.txt",
        "migrations/0001_notes.sql",
    ] {
        let read = |folder: &Path| fs::read_to_string(folder.join(file)).unwrap();
        // Comments at the top, the crate's name and the README's test are the quickstart's own. The name decides the order
        // of the first lines.
        let without_head = |text: String| {
            let lines =
                text.lines().filter(|line| !line.starts_with("//!") && *line != "mod readme;");
            let text = lines.collect::<Vec<_>>().join("\n").replace("axum_quickstart", "notebook");
            let mut lines: Vec<_> = text.trim_start().lines().map(str::to_owned).collect();
            let uses = lines.iter().take_while(|line| line.starts_with("use ")).count();
            lines[..uses].sort_unstable();
            lines
        };
        assert_eq!(without_head(read(&new)), without_head(read(Path::new(QUICKSTART))), "{file}");
    }
    let manifest = fs::read_to_string(new.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("mt = { git = \"https://github.com/mt-rs/mt\","), "{manifest}");
}

#[test]
fn a_folder_that_is_there_and_a_name_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("shop")).unwrap();
    let again = mt(folder.path(), &["new", "shop", "--axum"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("`shop` is there already"), "{}", text(&again));
    let bad = mt(folder.path(), &["new", "My-Shop", "--axum"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(text(&bad).contains("lower-case letters"), "{}", text(&bad));
}

#[test]
fn an_added_table_gets_the_next_number() {
    let folder = tempfile::tempdir().unwrap();
    assert!(mt(folder.path(), &["new", "shop", "--axum"]).status.success());
    let shop = folder.path().join("shop");
    let added = mt(&shop, &["add", "table", "shop.orders"]);
    let said = text(&added);
    assert!(said.starts_with("created migrations/0002_orders.sql\n"), "{said}");
    assert!(
        said.contains(".seed(\"orders_id\", \"insert into shop.orders (tenant_id, id, name) \\\n"),
        "{said}"
    );
    let sql = fs::read_to_string(shop.join("migrations/0002_orders.sql")).unwrap();
    assert!(
        sql.contains("create table shop.orders (") && sql.contains("mt.isolate('shop.orders')")
    );
    let again = mt(&shop, &["add", "table", "shop.orders"]);
    assert!(text(&again).starts_with("created migrations/0003_orders.sql\n"), "{}", text(&again));
    let nowhere = mt(folder.path(), &["add", "table", "shop.orders"]);
    assert!(text(&nowhere).contains("cannot read the folder `migrations`"), "{}", text(&nowhere));
    let bad = mt(&shop, &["add", "table", "orders"]);
    assert!(text(&bad).contains("expected SCHEMA.TABLE"), "{}", text(&bad));
}
