//! Production refuses every secret that a file of the repository contains.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use reference_server::config::{Config, ConfigError};

use crate::support::{production, secret};

/// Settings that are secrets, the longer name first.
const SECRETS: [&str; 6] = [
    "JWT_SECRET_PREVIOUS",
    "JWT_SECRET",
    "API_KEY_SECRET",
    "ADMIN_TOKEN",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_SECRET_KEY",
];

/// How secrets of Stripe's begin.
const BEGINNINGS: [(&str, &str); 2] =
    [("whsec_", "STRIPE_WEBHOOK_SECRET"), ("sk_", "STRIPE_SECRET_KEY")];

/// Values that a text gives to secrets: `NAME=value`, `"NAME", "value"`, `NAME: &str = "value"`, `${NAME:-value}`,
/// and words that begin as Stripe's do.
fn shown(text: &str) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for name in SECRETS {
        for rest in behind(text, name) {
            found.extend(value(rest).map(|value| (name, value)));
        }
    }
    // A constant of tests goes to several settings.
    for rest in behind(text, "SECRET") {
        if let Some(value) = value(rest) {
            found.insert(("JWT_SECRET", value));
        }
    }
    for (beginning, name) in BEGINNINGS {
        for rest in behind(text, beginning) {
            let word = rest.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').next();
            found.insert((name, format!("{beginning}{}", word.unwrap_or_default())));
        }
    }
    found
}

/// Returns the text after each occurrence of `word` as a whole word.
fn behind<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let is_of_a_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let found = text.match_indices(word).filter(|(at, _)| !text[..*at].ends_with(is_of_a_name));
    found.map(|(at, _)| &text[at + word.len()..]).collect()
}

fn value(rest: &str) -> Option<String> {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let rest = rest.strip_prefix(QUOTES).unwrap_or(rest);
    let (is_open, rest) = [(true, "="), (true, ":-"), (true, ": &str = "), (false, ",")]
        .into_iter()
        .find_map(|(is_open, sign)| Some((is_open, rest.strip_prefix(sign)?)))
        .or_else(|| Some((false, rest.strip_prefix(": ")?)))?;
    let rest = rest.trim_start();
    let value = match rest.chars().next().filter(|first| QUOTES.contains(first)) {
        Some(quote) => quoted(&rest[1..], quote),
        None if is_open => {
            let ends = |char: char| char.is_whitespace() || "\"'`})\\$".contains(char);
            rest.split(ends).next().unwrap_or_default().to_owned()
        }
        None => return None,
    };
    // The name of another setting, or of a variable of a script.
    let is_name = value.chars().all(|char| char.is_ascii_uppercase() || char == '_');
    (!value.is_empty() && !is_name && !value.starts_with('$')).then_some(value)
}

/// The text up to `quote` or the end of the line, with what stands behind a backslash taken as it is.
fn quoted(text: &str, quote: char) -> String {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                None | Some('n') => break,
                next => value.extend(next),
            },
            '\n' => break,
            char if char == quote => break,
            char => value.push(char),
        }
    }
    value
}

/// Whether production starts with this value in place of its own.
fn is_taken(name: &str, value: &str) -> bool {
    let mut vars = production();
    vars.insert(name.to_owned(), value.to_owned());
    match Config::from_vars(|name| vars.get(name).cloned()) {
        Ok(_) => true,
        Err(errors) => !errors.iter().map(ConfigError::name).any(|refused| refused == name),
    }
}

#[test]
fn production_refuses_every_secret_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .expect("git lists the files to look at");
    let paths = String::from_utf8(listed.stdout).unwrap();
    let (mut seen, mut taken) = (0, BTreeSet::new());
    for path in paths.split_terminator('\0') {
        let path = Path::new(path);
        // Names of functions in a drawing begin as secrets do.
        if path.extension().is_some_and(|ending| ending == "svg") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        for (name, value) in shown(&text) {
            seen += 1;
            if is_taken(name, &value) {
                taken.insert(format!("{}: {name}: {value}", path.display()));
            }
        }
    }
    assert!(seen > 50, "too few are found: {seen}");
    let taken: Vec<_> = taken.into_iter().collect();
    assert!(
        taken.is_empty(),
        "anyone can read these secrets, and production takes them: add them to `config/known_secrets.rs`, \
         or have the test make its own\n{}",
        taken.join("\n")
    );
}

/// The control: a secret that is as good as any is found in each form, and production takes it.
#[test]
fn a_secret_is_found_in_each_form() {
    let good = secret();
    for text in [
        format!("JWT_SECRET={good}\n"),
        format!("- JWT_SECRET='{good}'"),
        format!("  JWT_SECRET: ${{JWT_SECRET:-{good}}}"),
        format!("  JWT_SECRET: \"{good}\""),
        format!("(\"JWT_SECRET\", \"{good}\".to_owned()),"),
        format!("(\n    \"JWT_SECRET\",\n    \"{good}\",\n)"),
        format!("const JWT_SECRET: &str = \"{good}\";"),
        format!("const SECRET: &str = \"{good}\";"),
    ] {
        let found = shown(&text);
        assert_eq!(found, BTreeSet::from([("JWT_SECRET", good.clone())]), "{text}");
    }
    let webhook = format!("whsec_{good}");
    let found = shown(&format!("sign(\"{webhook}\")"));
    assert_eq!(found, BTreeSet::from([("STRIPE_WEBHOOK_SECRET", webhook)]));
    for name in SECRETS {
        assert!(is_taken(name, &good), "{name}");
        assert!(!is_taken(name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "{name}");
    }
}
