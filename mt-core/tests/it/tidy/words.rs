//! Words that this repository does not use, because they leave out who acts or what an item is.
//!
//! `CONTRIBUTING.md` says how to write instead, and `docs/glossary.md` has the terms. Files that still contain such
//! words are listed in `words.txt` with the number of their findings. The list only shrinks: a file with more findings
//! than its entry fails, and so does an entry that is too high. `MT_BLESS=1` lowers entries and removes those that
//! reached zero:
//!
//! ```console
//! $ MT_BLESS=1 cargo nextest run --workspace -E 'test(/banned_words/)'
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{File, assert_none, files, root};

const ALLOWED: &str = "mt-core/tests/it/tidy/words.txt";

/// Files that define the rule.
const EXEMPT: [&str; 2] = [ALLOWED, "mt-core/tests/it/tidy/words.rs"];

/// Words and phrases, each with a hint. A word of a name, such as `nobody_is_let_in`, counts too.
const BANNED: [(&str, &str); 12] = [
    ("nobody", "name the actor: `no caller`, `no worker`"),
    ("somebody", "name the actor: `the caller`, `another user`"),
    ("someone", "name the actor: `the caller`, `another user`"),
    ("whoever", "name the actor: `a caller who`, `the worker that`"),
    ("play along", "say what failed"),
    ("and be it", "say `even if it is`"),
    ("what there is", "name the thing"),
    ("one's own", "say `your own`, or name the owner"),
    ("lest", "say `so that … not`"),
    ("patience", "say `timeout` or `retry period`"),
    ("nudge", "say `wake`"),
    ("fared", "say what the result was"),
];

/// What follows `is no` where it does not stand for `is not a`.
const DEGREES: [&str; 8] =
    ["better", "fewer", "greater", "later", "less", "longer", "more", "older"];

/// Text without capitals, with names in snake case taken apart.
fn plain(line: &str) -> String {
    line.to_lowercase().replace(['_', '’'], " ").replace(" s own", "'s own")
}

fn is_of_a_word(char: char) -> bool {
    char.is_alphanumeric() || char == '\''
}

/// How often `phrase` stands in a line of plain text as words of their own.
fn times(line: &str, phrase: &str) -> usize {
    let stands_alone = |at: usize| {
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        !before.ends_with(is_of_a_word) && !after.trim_start_matches("'s").starts_with(is_of_a_word)
    };
    line.match_indices(phrase).filter(|(at, _)| stands_alone(*at)).count()
}

/// `x is no y`, but for `there is no y` and `is no longer`.
fn denies_by_no(line: &str) -> usize {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_denial = |three: &&[&str]| {
        let [before, verb, no, ..] = three else { return false };
        let next = three.get(3).copied().unwrap_or_default();
        // `format!("there` ends with the word.
        let before = before.rsplit(|char| !is_of_a_word(char)).next().unwrap_or_default();
        matches!(*verb, "is" | "are" | "was" | "were")
            && *no == "no"
            && !matches!(before, "there" | "where")
            && !DEGREES.iter().any(|degree| next.starts_with(degree))
    };
    (0..words.len()).filter_map(|at| words.get(at..)).filter(is_denial).count()
}

/// The text of a documentation comment's line.
fn doc(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim)
}

/// The first lines of documentation comments that have one word or say `Which one.`.
fn empty_docs(file: &File) -> Vec<usize> {
    if !file.is_rust() {
        return Vec::new();
    }
    let lines: Vec<Option<&str>> = file.text.lines().map(doc).collect();
    let is_alone = |at: usize| {
        let neighbour = |at: Option<usize>| at.and_then(|at| lines.get(at).copied().flatten());
        neighbour(at.checked_sub(1)).is_none() && neighbour(at.checked_add(1)).is_none()
    };
    let says_nothing = |text: &str| {
        let words = text.split_whitespace().count();
        words == 1 && !text.contains(['[', '`', '#']) || text == "Which one."
    };
    let found = lines.iter().enumerate().filter_map(|(at, text)| text.map(|text| (at, text)));
    found.filter(|(at, text)| says_nothing(text) && is_alone(*at)).map(|(at, _)| at).collect()
}

/// Complaints about a file, one for each finding.
fn banned_words(file: &File) -> Vec<String> {
    let is_text = !["lock", "svg", "stderr"].iter().any(|end| file.path.ends_with(end));
    if !is_text || EXEMPT.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let line = plain(line);
        for (phrase, hint) in BANNED {
            for _ in 0..times(&line, phrase) {
                found.push(file.complaint(number, format!("`{phrase}`: {hint}")));
            }
        }
        for _ in 0..denies_by_no(&line) {
            found.push(file.complaint(number, "`is no …`: say `is not a …`"));
        }
    }
    let empty = empty_docs(file).into_iter();
    found.extend(empty.map(|line| file.complaint(line, "say what the item is or does")));
    found
}

/// Documents for readers outside of the project. They have no entry in the list.
fn is_public(path: &str) -> bool {
    let root = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"];
    root.contains(&path) || path.starts_with("docs/")
}

/// Entries of the list, `COUNT PATH` a line.
fn parsed(list: &str) -> BTreeMap<&str, usize> {
    let entry =
        |line| str::split_once(line, ' ').and_then(|(n, path)| Some((path, n.parse().ok()?)));
    list.lines().map(|line| entry(line).expect("a line is `COUNT PATH`")).collect()
}

/// Compares findings with the list, both ways.
fn compared(found: &BTreeMap<&str, Vec<String>>, allowed: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, findings) in found {
        let allowed = allowed.get(path).copied().unwrap_or(0);
        if findings.len() > allowed {
            complaints.push(format!("{path}: {} findings, at most {allowed}:", findings.len()));
            complaints.extend(findings.iter().map(|finding| format!("    {finding}")));
        }
    }
    for (path, &allowed) in allowed {
        let left = found.get(path).map_or(0, Vec::len);
        if left < allowed {
            complaints.push(format!(
                "{ALLOWED}: {path} has {left} findings and not {allowed}; MT_BLESS=1 lowers it"
            ));
        }
        if is_public(path) {
            complaints.push(format!("{ALLOWED}: {path} is a public document"));
        }
    }
    complaints
}

/// The list, lowered to what was found.
fn lowered(found: &BTreeMap<&str, Vec<String>>, allowed: &BTreeMap<&str, usize>) -> String {
    allowed.iter().fold(String::new(), |mut list, (path, &allowed)| {
        let left = found.get(path).map_or(0, Vec::len).min(allowed);
        if left > 0 && !is_public(path) {
            _ = writeln!(list, "{left} {path}");
        }
        list
    })
}

#[test]
fn banned_words_become_fewer() {
    let files = files();
    let found = files.iter().map(|file| (file.path.as_str(), banned_words(file)));
    let found: BTreeMap<_, _> = found.filter(|(_, found)| !found.is_empty()).collect();
    let path = root().join(ALLOWED);
    let mut list = std::fs::read_to_string(&path).expect("the list is committed");
    if std::env::var_os("MT_BLESS").is_some() {
        list = lowered(&found, &parsed(&list));
        std::fs::write(&path, &list).expect("the list can be written");
    }
    assert_none(&compared(&found, &parsed(&list)));
}

#[test]
fn banned_words_are_found() {
    for (path, text, findings) in [
        ("README.md", "Nobody knows; somebody's key, whoever has it.", 3),
        ("a/src/b.rs", "fn nobody_is_let_in() {}\n// nobodyish, NOBODY\n", 2),
        ("a/src/b.rs", "/// Postgres did not play\n/// along. It is no error.\n", 1),
        (
            "README.md",
            "(There is no way.) say!(\"there is no way\"). It is no longer so. They are no more than two.",
            0,
        ),
        ("README.md", "An outage is no outage. These are no errors", 2),
        ("README.md", "in one’s own words, in one's own words", 2),
        ("a/src/b.rs", "/// Whose.\npub id: u8,\n/// Which one.\npub b: u8,\n/// The key.\n", 2),
        ("a/src/b.rs", "/// Whose.\n/// More.\npub id: u8,\n/// `Ok`.\n/// [`A`].\n", 0),
        ("README.md", "/// Whose.", 0),
        ("Cargo.lock", "nobody", 0),
        (ALLOWED, "1 nobody", 0),
    ] {
        let found = banned_words(&File::fake(path, text));
        assert_eq!(found.len(), findings, "{text}: {found:?}");
    }
}

#[test]
fn the_list_of_banned_words_only_shrinks() {
    let finding = || "found".to_owned();
    let found =
        BTreeMap::from([("a.rs", vec![finding(), finding()]), ("README.md", vec![finding()])]);
    for (list, complaints) in [
        // The public document is found and has no entry: a head and a finding.
        ("2 a.rs\n", 2),
        ("1 a.rs\n", 5),
        ("3 a.rs\n", 3),
        ("2 a.rs\n1 gone.rs\n", 3),
        ("2 a.rs\n1 README.md\n", 1),
    ] {
        assert_eq!(compared(&found, &parsed(list)).len(), complaints, "{list}");
    }
    assert_eq!(lowered(&found, &parsed("9 README.md\n1 a.rs\n")), "1 a.rs\n");
    assert_eq!(lowered(&found, &parsed("9 a.rs\n9 gone.rs\n")), "2 a.rs\n");
}
