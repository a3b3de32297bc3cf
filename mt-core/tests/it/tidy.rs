//! The rules of this repository that no compiler checks, as tests over its files.
//!
//! A rule is a pure function from a file to complaints, beside a test that shows it complain. The tests
//! here apply each to the files of the repository: those that git tracks, and new ones not ignored.

mod containers;
mod documents;
mod manifests;
mod markdown;
mod migrations;
mod sources;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the repository.
#[derive(Debug)]
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
    executable: bool,
}

impl File {
    /// A file that is not there, for showing a rule something bad.
    fn fake(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), executable: false }
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|ending| ending == "rs")
    }

    /// A complaint about this file, at a line counted from 0 if it is about one.
    fn complaint(&self, line: impl Into<Option<usize>>, what: impl std::fmt::Display) -> String {
        match line.into() {
            Some(line) => format!("{}:{}: {what}", self.path, line + 1),
            None => format!("{}: {what}", self.path),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in the workspace")
        .to_owned()
}

/// Every text file of the repository.
fn files() -> Vec<File> {
    let root = root();
    let files: Vec<_> = paths(&root)
        .into_iter()
        .filter_map(|path| {
            // Deleted and not yet committed, or not text.
            let text = std::fs::read_to_string(root.join(&path)).ok()?;
            let executable = is_executable(&root.join(&path));
            Some(File { path, text, executable })
        })
        .collect();
    assert!(files.iter().any(|file| file.path == "mt-core/src/lib.rs"), "found too few files");
    files
}

fn paths(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        // Run by another user than the clone's owner, git would answer nothing.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the files to look at");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    listed.split_terminator('\0').map(str::to_owned).collect()
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"))
}

/// Fails with all complaints at once.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
