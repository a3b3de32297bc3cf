//! Rules for images, and for files that have to work on other machines than the one they were written on.

use std::process::Command;

use super::{File, assert_none, files, root};

/// Scripts that run on the machines of users. macOS has bash 3.2.
const USER_SCRIPTS: [&str; 5] = [
    "ops/postgres/logins",
    "scripts/mt-server",
    "scripts/smoke.sh",
    "scripts/stack-up",
    "scripts/wait-ready",
];

/// Syntax that bash 3.2 lacks.
const BASH_4: [&str; 20] = [
    "declare -A",
    "declare -n",
    "local -A",
    "local -n",
    "mapfile",
    "readarray",
    "coproc",
    "&>>",
    "|&",
    ",,}",
    "^^}",
    "exec {",
    "wait -n",
    "[[ -v",
    "printf '%(",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "globstar",
    "[-1]",
    "=()",
];

fn runs_on_bash_3(file: &File) -> Vec<String> {
    if !USER_SCRIPTS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|(number, line)| {
            let found = BASH_4.iter().filter(|syntax| line.contains(**syntax));
            found.map(move |syntax| file.complaint(number, format!("bash 3.2 fails on `{syntax}`")))
        })
        .collect()
}

/// The version in `channel = "1.95.0"`.
fn channel(toolchain: &str) -> Option<&str> {
    toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
}

/// An image is made from the files of its checkout alone, by the compiler that they name.
fn builds_from_its_own_files(dockerfile: &File, toolchain: &str) -> Vec<String> {
    let version = channel(toolchain).expect("rust-toolchain.toml names a version");
    let mut complaints = Vec::new();
    for (number, line) in dockerfile.text.lines().enumerate() {
        let mut complain = |what: String| complaints.push(dockerfile.complaint(number, what));
        if line.replace(' ', "").starts_with("#syntax=") {
            complain("a frontend of its own is asked of a registry".to_owned());
        }
        if line.contains("type=cache") {
            complain("a cache that outlives a build may hold another clone's code".to_owned());
        }
        if line.contains("cargo build") && !line.contains("--no-default-features") {
            complain("SECURITY.md says that the embedded Postgres is not in the image".to_owned());
        }
        if let Some(image) = line.strip_prefix("FROM ").and_then(|of| of.split(' ').next()) {
            let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
            if tag.is_empty() || tag == "latest" {
                complain(format!("`{image}` has no version"));
            }
            if image.contains("/rust:") && tag.split('-').next() != Some(version) {
                complain(format!("rust-toolchain.toml names {version}"));
            }
        }
        if let Some((_, rest)) = line.split_once("RUSTUP_TOOLCHAIN=")
            && rest.split(' ').next() != Some(version)
        {
            complain(format!("rust-toolchain.toml names {version}"));
        }
    }
    complaints
}

/// Members of the workspace that `.dockerignore` keeps from the image, where cargo reads all of them.
fn reaches_the_image(ignored: &File, manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("cargo has read it before");
    let members = manifest["workspace"]["members"].as_array().expect("the workspace has members");
    let folders = members.iter().filter_map(|member| member.as_str()?.split('/').next());
    let missing =
        folders.filter(|folder| !ignored.text.lines().any(|line| line == format!("!{folder}")));
    missing.map(|folder| ignored.complaint(None, format!("add the line `!{folder}`"))).collect()
}

/// What `git ls-files --eol` says of a file: lines end with LF in the repository and in every checkout.
fn ends_lines_with_lf(line: &str) -> Vec<String> {
    let (about, path) = line.split_once('\t').expect("a path follows a tab");
    let mut complaints = Vec::new();
    if about.starts_with("i/crlf") || about.starts_with("i/mixed") {
        complaints.push(format!("{path}: has lines that end with CR LF"));
    }
    if !about.contains("eol=lf") {
        complaints.push(format!("{path}: .gitattributes does not say `eol=lf`"));
    }
    complaints
}

#[test]
fn scripts_of_users_run_on_bash_3() {
    let files = files();
    for script in USER_SCRIPTS {
        assert!(files.iter().any(|file| file.path == script), "{script} is gone");
    }
    assert_none(&files.iter().flat_map(runs_on_bash_3).collect::<Vec<_>>());
    for line in ["declare -A map", "echo \"${name,,}\"", "local arguments=()"] {
        assert_eq!(runs_on_bash_3(&File::fake("scripts/smoke.sh", line)).len(), 1, "{line}");
        assert!(runs_on_bash_3(&File::fake("scripts/smoke.sh", &format!("# {line}"))).is_empty());
        assert!(runs_on_bash_3(&File::fake("scripts/k6", line)).is_empty(), "{line}");
    }
}

#[test]
fn image_is_built_from_its_own_clone() {
    let files = files();
    let text = |path| &files.iter().find(|file| file.path == path).expect(path).text;
    let toolchain = text("rust-toolchain.toml");
    let dockerfile = File::fake("Dockerfile", text("Dockerfile"));
    assert!(dockerfile.text.contains("FROM docker.io/library/rust:"), "{}", dockerfile.text);
    assert_none(&builds_from_its_own_files(&dockerfile, toolchain));
    let pinned = "[toolchain]\nchannel = \"1.95.0\"\n";
    for bad in [
        "# syntax=docker/dockerfile:1",
        "RUN --mount=type=cache,target=/src/target cargo fetch",
        "RUN cargo build --profile release --locked --package reference-server",
        "FROM docker.io/library/rust:1.94.0-bookworm AS build",
        "FROM docker.io/library/rust:1.95-bookworm AS build",
        "FROM docker.io/library/debian",
        "FROM docker.io/library/debian:latest",
        "ENV RUSTUP_TOOLCHAIN=1.94.0 CARGO_INCREMENTAL=0",
    ] {
        let complaints = builds_from_its_own_files(&File::fake("Dockerfile", bad), pinned);
        assert_eq!(complaints.len(), 1, "{bad}: {complaints:?}");
    }
    let good = "FROM docker.io/library/rust:1.95.0-bookworm AS build\nENV RUSTUP_TOOLCHAIN=1.95.0";
    assert!(builds_from_its_own_files(&File::fake("Dockerfile", good), pinned).is_empty());
}

#[test]
fn every_workspace_member_reaches_the_image() {
    let files = files();
    let text = |path| &files.iter().find(|file| file.path == path).expect(path).text;
    let ignored = File::fake(".dockerignore", text(".dockerignore"));
    assert_none(&reaches_the_image(&ignored, text("Cargo.toml")));
    let manifest = "[workspace]\nmembers = [\"a\", \"b/c\", \"d/*\"]\n";
    for (ignored, complaints) in [("*\n!a\n!b\n!d\n", 0), ("*\n!a\n!b/c\n", 2)] {
        let found = reaches_the_image(&File::fake(".dockerignore", ignored), manifest);
        assert_eq!(found.len(), complaints, "{found:?}");
    }
}

#[test]
fn every_checkout_uses_lf_line_endings() {
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--eol", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root())
        .output()
        .expect("git lists the files to look at");
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    assert!(listed.contains("mt-core/src/lib.rs"), "found too few files");
    assert_none(&listed.lines().flat_map(ends_lines_with_lf).collect::<Vec<_>>());
    for bad in ["i/crlf  w/crlf  attr/text=auto eol=lf\ta", "i/lf    w/crlf  attr/  \ta"] {
        assert_eq!(ends_lines_with_lf(bad).len(), 1, "{bad}");
    }
}
