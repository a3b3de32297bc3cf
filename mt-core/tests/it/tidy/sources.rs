//! What source files look like, and which crates they may name.

use super::{File, assert_none, files};

/// Longer than this, a file holds more than one concept.
const MOST_LINES: usize = 400;

/// Macros and attributes that may not be committed, split so that this file passes.
const UNFINISHED: [(&str, &str); 5] = [
    (concat!("#[", "allow("), "say `#[expect(lint, reason = \"…\")]`, which ends with its reason"),
    (
        concat!("#![", "allow("),
        "say `#![expect(lint, reason = \"…\")]`, which ends with its reason",
    ),
    (concat!("dbg", "!("), "left from debugging"),
    (concat!("to", "do!("), "not finished"),
    (concat!("unimplem", "ented!("), "not finished"),
];

/// Where people and build machines keep their files, split so that this file passes.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/"), concat!("/", "work/")];

/// The import law: below `of`, the crates in `names` are named in `only_in` and nowhere else.
struct Law {
    of: &'static str,
    names: &'static [&'static str],
    only_in: &'static [&'static str],
    because: &'static str,
}

const LAWS: [Law; 9] = [
    Law {
        of: "mt-core/src/",
        names: &["sqlx"],
        only_in: &["mt-core/src/pg/", "mt-core/src/testing/"],
        because: "the core of mt-core decides without a database",
    },
    Law {
        of: "mt-core/src/",
        names: &["redis"],
        only_in: &["mt-core/src/redis/", "mt-core/src/redis.rs"],
        because: "Redis is one store of the limiter, behind a feature",
    },
    Law {
        of: "mt-core/src/",
        names: &["reqwest"],
        only_in: &["mt-core/src/auth/openid/http_fetch.rs"],
        because: "fetching keys of identity providers is its only use, behind a feature",
    },
    Law {
        of: "mt-core/src/",
        names: &["axum", "http", "hyper", "salvo", "tower", "tower_layer", "tower_service"],
        only_in: &[],
        because: "mt-core knows no HTTP",
    },
    Law {
        of: "mt-tower/src/",
        names: &["axum", "hyper", "redis", "salvo", "sqlx", "tower"],
        only_in: &[],
        because: "layers stand on tower-layer and tower-service, which are stable, and on mt-core",
    },
    Law {
        of: "mt-stripe/src/",
        names: &["axum", "hyper", "mt_tower", "redis", "salvo", "tower"],
        only_in: &[],
        because: "webhooks come by any framework, or from a queue",
    },
    Law {
        of: "mt-http/src/",
        names: &["axum", "hyper", "redis", "salvo", "sqlx", "tower"],
        only_in: &[],
        because: "endpoints are served by any framework, and mt-core has their SQL",
    },
    Law {
        of: "mt-mail/src/",
        names: &["axum", "http", "hyper", "mt_tower", "redis", "salvo", "sqlx", "tower"],
        only_in: &[],
        because: "mail is sent by services of any framework, and mt-core has its SQL",
    },
    Law {
        of: "mt-service/src/",
        names: &["axum", "mt_axum", "mt_salvo", "redis", "salvo", "tower"],
        only_in: &[],
        because: "services of any framework stand on it",
    },
];

fn is_short(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if file.is_rust() && lines > MOST_LINES {
        return vec![
            file.complaint(None, format!("{lines} lines, at most {MOST_LINES}: split it")),
        ];
    }
    Vec::new()
}

/// A crate root, a test binary and any module with something public begins with its documentation.
fn begins_with_docs(file: &File) -> Vec<String> {
    let root = ["/lib.rs", "/main.rs", "/mod.rs"].iter().any(|name| file.path.ends_with(name));
    let public = file.path.contains("/src/") && file.text.lines().any(|l| l.starts_with("pub "));
    if file.is_rust() && (root || public) && !file.text.starts_with("//! ") {
        return vec![file.complaint(0, "begins without `//!`: what is this module for?")];
    }
    Vec::new()
}

fn is_finished(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    code(&file.text)
        .flat_map(|(number, line)| {
            UNFINISHED
                .iter()
                .filter(move |(bad, _)| line.contains(bad))
                .map(move |(bad, why)| file.complaint(number, format!("`{bad}`: {why}")))
        })
        .collect()
}

fn names_no_machine(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for path in MACHINE_PATHS {
            let absolute = line.match_indices(path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| c.is_whitespace() || "\"'`=:(<,".contains(c))
            });
            if absolute {
                complaints
                    .push(file.complaint(number, format!("`{path}…` is a path of one machine")));
            }
        }
    }
    complaints
}

/// A file that begins with `#!` is executable, and no other file is.
fn runs_if_it_says_so(file: &File) -> Vec<String> {
    match (file.text.starts_with("#!") && !file.text.starts_with("#!["), file.executable) {
        (true, false) => vec![file.complaint(None, "begins with `#!`: chmod +x")],
        (false, true) => vec![file.complaint(None, "is executable and does not begin with `#!`")],
        _ => Vec::new(),
    }
}

fn keeps_the_law(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    if !file.is_rust() {
        return complaints;
    }
    for law in LAWS.iter().filter(|law| file.path.starts_with(law.of)) {
        if law.only_in.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        for (number, line) in without_tests(&file.path, &file.text) {
            for name in law.names.iter().filter(|name| names_crate(line, name)) {
                complaints.push(file.complaint(number, format!("names `{name}`: {}", law.because)));
            }
        }
    }
    complaints
}

/// The lines that are not comments, numbered from 0.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The code that is built without `cfg(test)`: unit tests may use dev-dependencies. They close a file.
fn without_tests<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let text = if path.ends_with("/tests.rs") { "" } else { text };
    code(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text))
}

/// Whether a line has `name` as the first segment of a path: `name::…`, `use name;`.
fn names_crate(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let first = !before.ends_with(|c| word(c) || c == ':' || c == '.' || c == '"');
        let imported = before.trim_end().ends_with("use") && !after.starts_with(word);
        first && (imported || after.starts_with("::"))
    })
}

#[track_caller]
fn holds(rule: fn(&File) -> Vec<String>) {
    assert_none(&files().iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    holds(is_short);
    let long = "x\n".repeat(MOST_LINES + 1);
    assert_eq!(is_short(&File::fake("a/src/b.rs", &long)).len(), 1);
    assert!(is_short(&File::fake("a/src/b.rs", &long[2..])).is_empty());
}

#[test]
fn modules_begin_with_their_documentation() {
    holds(begins_with_docs);
    for (path, text) in [
        ("a/src/lib.rs", "mod x;\n"),
        ("a/tests/it/main.rs", "mod x;\n"),
        ("a/src/b.rs", "use c::D;\n\npub fn e() {}\n"),
        ("a/src/b.rs", "// Not the same.\npub fn e() {}\n"),
    ] {
        assert_eq!(begins_with_docs(&File::fake(path, text)).len(), 1, "{path}: {text}");
    }
    assert!(begins_with_docs(&File::fake("a/src/b.rs", "pub(crate) fn e() {}\n")).is_empty());
}

#[test]
fn nothing_unfinished_is_committed() {
    holds(is_finished);
    for (bad, _) in UNFINISHED {
        let text = format!("//! A.\nfn b() {{\n    {bad}c)\n}}\n");
        assert_eq!(is_finished(&File::fake("a/src/b.rs", &text)).len(), 1, "{bad}");
        assert!(is_finished(&File::fake("a/src/b.rs", &format!("// {bad}c)\n"))).is_empty());
    }
}

#[test]
fn no_file_names_a_machine() {
    holds(names_no_machine);
    for path in MACHINE_PATHS {
        for text in [format!("cd {path}me"), format!("A=\"{path}me\""), format!("{path}me")] {
            assert_eq!(names_no_machine(&File::fake("x", &text)).len(), 1, "{text}");
        }
        assert!(names_no_machine(&File::fake("x", &format!("docs{path}page"))).is_empty());
    }
}

#[test]
fn scripts_can_be_run() {
    holds(runs_if_it_says_so);
    let script = File::fake("scripts/a", "#!/usr/bin/env bash\n");
    assert_eq!(runs_if_it_says_so(&script).len(), 1);
    assert!(runs_if_it_says_so(&File { executable: true, ..script }).is_empty());
    let text = File { executable: true, ..File::fake("README.md", "# a\n") };
    assert_eq!(runs_if_it_says_so(&text).len(), 1);
}

#[test]
fn crates_name_only_what_the_import_rules_allow() {
    holds(keeps_the_law);
    for (path, line) in [
        ("mt-core/src/access/mod.rs", "use sqlx::PgPool;"),
        ("mt-core/src/limit/mod.rs", "    let c: redis::Client = c;"),
        ("mt-core/src/pg/mod.rs", "use http::StatusCode;"),
        ("mt-core/src/auth/openid/fetch.rs", "use reqwest::Client;"),
        ("mt-core/src/pg/mod.rs", "pub use redis;"),
        ("mt-tower/src/lib.rs", "impl<S> tower::Service<R> for A<S> {"),
        ("mt-tower/src/guard/mod.rs", "use axum::extract::Request;"),
        ("mt-stripe/src/lib.rs", "fn a(x: &mt_tower::Problem) {}"),
        ("mt-http/src/call.rs", "use axum::Router;"),
        ("mt-mail/src/limits.rs", "use mt_tower::problem::Problem;"),
        ("mt-mail/src/owner_mail.rs", "let a = sqlx::query(\"select 1\");"),
    ] {
        assert_eq!(keeps_the_law(&File::fake(path, line)).len(), 1, "{path}: {line}");
    }
    for (path, line) in [
        ("mt-core/src/pg/mod.rs", "use sqlx::PgPool;"),
        ("mt-core/src/redis/mod.rs", "use redis::Client;"),
        ("mt-core/src/limit/mod.rs", "use crate::redis::RedisStore;"),
        ("mt-core/src/limit/mod.rs", "//! [`redis::Client`]"),
        ("mt-tower/src/lib.rs", "use tower_service::Service;"),
        ("mt-tower/src/lib.rs", "#[cfg(test)]\nmod tests {\n    use tower::ServiceExt as _;\n}"),
    ] {
        assert!(keeps_the_law(&File::fake(path, line)).is_empty(), "{path}: {line}");
    }
}
