//! Texts that are committed for review.

use std::fmt::Display;
use std::path::Path;

/// Asserts that the file at `path` holds `text`. If `MT_BLESS` is set, writes the file first. A relative path starts at the
/// package, where tests run.
///
/// # Panics
///
/// With the lines that differ, or when the file cannot be read.
#[track_caller]
pub fn assert_file(path: impl AsRef<Path>, text: &impl Display) {
    let now = text.to_string();
    let kept = kept_or_blessed(path.as_ref(), &now);
    assert_same(path.as_ref(), &differences(&kept, &now));
}

/// Returns the committed text. If `MT_BLESS` is set, writes `now` to the file first.
#[track_caller]
pub(super) fn kept_or_blessed(path: &Path, now: &str) -> String {
    let place = path.display();
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(path, now).unwrap_or_else(|error| panic!("cannot write `{place}`: {error}"));
    }
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read `{place}`: {error}; MT_BLESS=1 writes it"))
}

#[track_caller]
pub(super) fn assert_same(path: &Path, differences: &[String]) {
    assert!(
        differences.is_empty(),
        "differs from `{}`; MT_BLESS=1 updates it:\n{}",
        path.display(),
        differences.join("\n")
    );
}

fn differences(kept: &str, now: &str) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) = (kept.lines().collect(), now.lines().collect());
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    let mut differences: Vec<_> = gone.chain(new).collect();
    if differences.is_empty() && kept != now {
        differences.push("the order of lines".to_owned());
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn lines_that_differ_are_shown() {
        assert!(differences("a\nb\n", "a\nb\n").is_empty());
        assert_eq!(differences("a\nb\n", "a\nc\n"), ["- b", "+ c"]);
        assert_eq!(differences("a\nb\n", "b\na\n"), ["the order of lines"]);
    }
}
