//! Files and make targets that documents and comments name are there.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::{File, assert_none, files};

/// Endings of files that are looked for when code in a text names one.
const ENDINGS: [&str; 15] = [
    "env", "js", "json", "lock", "md", "proto", "py", "rs", "sh", "sql", "svg", "toml", "txt",
    "yaml", "yml",
];

/// Names that look like files and are not part of this repository.
const ELSEWHERE: [&str; 2] = [
    // A path of the server.
    "/openapi.json",
    // In the repository of gRPC.
    "doc/statuscodes.md",
];

/// Files and make targets that a text may name.
struct Named<'f> {
    paths: BTreeSet<&'f str>,
    targets: BTreeSet<&'f str>,
}

impl<'f> Named<'f> {
    fn of(files: &'f [File]) -> Self {
        let makefile = files.iter().find(|file| file.path == "Makefile");
        let lines = makefile.map(|file| file.text.lines()).into_iter().flatten();
        let target = |line: &'f str| {
            let (name, _) = line.split_once(':')?;
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then_some(name)
        };
        Self {
            paths: files.iter().map(|file| file.path.as_str()).collect(),
            targets: lines.filter_map(target).collect(),
        }
    }

    /// Whether a file has this path, or one that ends with it.
    fn has_file(&self, name: &str) -> bool {
        let ends_with = |path: &&str| {
            path.strip_suffix(name).is_some_and(|dir| dir.is_empty() || dir.ends_with('/'))
        };
        self.paths.iter().any(ends_with)
    }

    /// Whether there is a file or folder at this path.
    fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.iter().any(|one| one.starts_with(&below))
    }
}

pub(super) fn is_document(file: &File) -> bool {
    Path::new(&file.path).extension().is_some_and(|ending| ending == "md")
}

/// The text of a document, or the comments of a source file, by lines numbered from 0.
fn prose(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let marks: &[&str] = match file.path.rsplit('.').next() {
        _ if is_document(file) => &[""],
        Some("rs" | "js") => &["//"],
        Some("sql") => &["--"],
        _ => &["#"],
    };
    let lines = file.text.lines().enumerate();
    lines.filter(|(_, line)| marks.iter().any(|mark| line.trim_start().starts_with(mark)))
}

fn names_what_exists(file: &File, named: &Named<'_>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in prose(file) {
        for code in line.split('`').skip(1).step_by(2) {
            if let Some(target) = make_target(code)
                && !named.targets.contains(target)
            {
                complaints.push(file.complaint(number, format!("`make {target}` is not a target")));
            }
            if is_file_name(code)
                && !ELSEWHERE.contains(&code)
                && !named.has_file(code.trim_start_matches("./"))
            {
                complaints.push(file.complaint(number, format!("there is no file `{code}`")));
            }
        }
        for link in links(line).filter(|_| is_document(file)) {
            let path = resolved(&file.path, link);
            if path.is_none_or(|path| !named.has(&path)) {
                complaints
                    .push(file.complaint(number, format!("the link to `{link}` leads nowhere")));
            }
        }
    }
    complaints
}

/// `storm` in `make storm ROUNDS=1`.
fn make_target(code: &str) -> Option<&str> {
    let word = code.strip_prefix("make ")?.split_whitespace().next()?;
    word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-').then_some(word)
}

/// A name or a path in lower case with an ending that files have, such as `tidy.rs` and `bench/results/storm.md`.
fn is_file_name(code: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-./".contains(&b);
    let ending =
        code.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending);
    code.bytes().all(is_plain) && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Where the links of a line lead within the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// Links of a line that name a heading of a document in the repository: path and heading.
pub(super) fn links_with_anchors(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target).filter(|target| !target.contains(':'));
    targets.filter_map(|target| target.split_once('#'))
}

/// The path from the root of what a link in this file names.
pub(super) fn resolved(from: &str, link: &str) -> Option<String> {
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()?),
            Component::Normal(part) => path.push(part.to_str()?),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    Some(path.join("/"))
}

#[test]
fn documents_and_comments_name_existing_files_and_targets() {
    let files = files();
    let named = Named::of(&files);
    assert!(named.targets.contains("storm"), "{:?}", named.targets);
    let complaints: Vec<_> =
        files.iter().flat_map(|file| names_what_exists(file, &named)).collect();
    assert_none(&complaints);
}

#[test]
fn missing_files_and_targets_are_reported() {
    let there = [
        File::fake("Makefile", "all: ## x\nk6: a\n\techo: x\n"),
        File::fake("docs/here.md", ""),
        File::fake("src/pg/here.rs", ""),
    ];
    let named = Named::of(&there);
    for (path, text, complaints) in [
        (
            "README.md",
            "`make all ARGS=x`, `make k6`, [a](docs/here.md#b), [b](https://x/y), [c](src/pg)",
            0,
        ),
        (
            "docs/a.md",
            "[a](here.md), [b](../src/pg/here.rs), [c](#here), `here.rs`, `pg/here.rs`, `HERE-x.json`",
            0,
        ),
        (
            "docs/a.md",
            "`make`, `make it ready`, `serde_json`, `example.org`, `.env`, `*.rs`, `a.b.c`",
            1,
        ),
        ("README.md", "see `make none`", 1),
        ("README.md", "[a](docs/gone.md) [b](../docs/here.md) [c](doc)", 3),
        ("docs/a.md", "`gone.rs` and `gone/here.rs` and `ere.rs`", 3),
        ("src/a.rs", "// as in `gone.rs`, see `make none`\nlet x = \"`gone.rs`\"; // `gone.rs`", 2),
        ("migrations/a.sql", "-- `gone.rs`\nselect '`gone.rs`'", 1),
        ("scripts/a", "# `gone.rs`\necho '`gone.rs`'", 1),
    ] {
        let found = names_what_exists(&File::fake(path, text), &named);
        assert_eq!(found.len(), complaints, "{text}: {found:?}");
    }
}
