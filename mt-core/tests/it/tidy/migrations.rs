//! A released migration is never edited: its digest is committed beside it.
//!
//! `CHECKSUMS` is what `sha256sum *.sql` prints. A new migration adds a line; an edited one
//! no longer fits its line, and changing that line is what a reviewer looks for.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{File, assert_none, files};

/// The folder of a migration, if that is what the path is.
fn folder(path: &str) -> Option<&str> {
    let (folder, name) = path.rsplit_once('/')?;
    let migrations = folder == "migrations" || folder.ends_with("/migrations");
    (migrations && Path::new(name).extension().is_some_and(|ending| ending == "sql"))
        .then_some(folder)
}

fn sum(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Compares the migrations of one folder with its list, both ways.
fn are_as_listed(checksums: &File, migrations: &[&File]) -> Vec<String> {
    let mut listed = BTreeMap::new();
    let mut complaints = Vec::new();
    for (number, line) in checksums.text.lines().enumerate() {
        match line.split_once("  ") {
            Some((sum, name)) if listed.insert(name, sum).is_none() => {}
            _ => complaints
                .push(checksums.complaint(number, "is not a line of `sha256sum`, or a second one")),
        }
    }
    for migration in migrations {
        let name = migration.path.rsplit('/').next().unwrap_or_default();
        match listed.remove(name) {
            Some(sum_then) if sum_then == sum(&migration.text) => {}
            Some(_) => complaints.push(migration.complaint(
                None,
                "changed after it was listed in CHECKSUMS: databases that ran it will not run it again. \
                 Add a new migration",
            )),
            None => complaints.push(migration.complaint(
                None,
                format!("is not in CHECKSUMS: add the line `{}  {name}`", sum(&migration.text)),
            )),
        }
    }
    complaints
        .extend(listed.keys().map(|name| checksums.complaint(None, format!("`{name}` is gone"))));
    complaints
}

#[test]
fn migrations_are_what_they_were() {
    let files = files();
    let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in &files {
        if let Some(folder) = folder(&file.path) {
            folders.entry(folder).or_default().push(file);
        }
    }
    assert!(folders.contains_key("mt-core/migrations"), "the library has migrations");
    let mut complaints = Vec::new();
    for (folder, migrations) in folders {
        let path = format!("{folder}/CHECKSUMS");
        let empty = File::fake(&path, "");
        let checksums = files.iter().find(|file| file.path == path).unwrap_or(&empty);
        complaints.extend(are_as_listed(checksums, &migrations));
    }
    assert_none(&complaints);
}

#[test]
fn edited_unlisted_and_deleted_migrations_are_reported() {
    let first = File::fake("migrations/0001_a.sql", "create table a ();\n");
    let edited = File::fake("migrations/0001_a.sql", "create table a (b int);\n");
    let second = File::fake("migrations/0002_b.sql", "drop table a;\n");
    let line = format!("{}  0001_a.sql\n", sum(&first.text));
    let list = |text: &str| File::fake("migrations/CHECKSUMS", text);

    assert!(are_as_listed(&list(&line), &[&first]).is_empty());
    for (text, migrations, expected) in [
        (line.as_str(), [&edited].as_slice(), "changed after"),
        (&line, &[&first, &second], "is not in CHECKSUMS"),
        (&line, &[], "`0001_a.sql` is gone"),
        (&format!("{line}{line}"), &[&first], "a second one"),
    ] {
        let complaints = are_as_listed(&list(text), migrations);
        assert!(complaints.len() == 1 && complaints[0].contains(expected), "{complaints:?}");
    }
}
