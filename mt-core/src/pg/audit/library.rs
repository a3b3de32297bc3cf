//! Compares the library's schema with the one that the migrations create.

use super::{Finding, Rule};

/// A line for each policy, privilege, function, trigger and owner of a database with the migrations alone, in columns
/// separated by tabs. `library_schema_matches_the_committed_snapshot` (`tests/it/audit`) compares it with such a database, and
/// `MT_BLESS=1` updates it.
const EXPECTED: &str = include_str!("library.txt");

/// The columns of a line, as `sql/library.sql` documents them.
type Line<'l> = (&'l str, &'l str, &'l str, &'l str);

fn expected() -> impl Iterator<Item = Line<'static>> {
    EXPECTED.lines().filter_map(|line| {
        let mut columns = line.splitn(4, '\t');
        Some((columns.next()?, columns.next()?, columns.next()?, columns.next()?))
    })
}

/// Returns the differences between `found` and the expected lines.
pub(super) fn differences(found: &[(String, String, String, String)]) -> Vec<Finding> {
    let found: Vec<Line<'_>> = found.iter().map(|(a, b, c, d)| (&**a, &**b, &**c, &**d)).collect();
    let is_there = |(kind, object, name, _): Line<'_>| {
        found.iter().any(|line| (line.0, line.1, line.2) == (kind, object, name))
    };
    let finding = |rule, object: &str, detail: String| Finding {
        rule,
        object: object.to_owned(),
        detail: Some(detail),
    };
    let gone = expected().filter(|line| !found.contains(line)).filter_map(|line| match line {
        (_, _, _, _) if line.0 == "privilege" => None,
        // A changed entry is reported below.
        (_, _, _, _) if line.0 == "policy" && is_there(line) => None,
        ("policy", object, name, _) => Some(finding(Rule::PolicyMissing, object, name.to_owned())),
        (kind, object, name, _) => {
            let detail = format!("{kind} {name}").trim_end().to_owned();
            Some(finding(Rule::LibraryDiffers, object, detail))
        }
    });
    let more = found.iter().filter(|line| !expected().any(|known| known == **line));
    let more = more.filter_map(|(kind, object, name, shape)| match *kind {
        "policy" => Some(finding(Rule::PolicyDiffers, object, (*name).to_owned())),
        "privilege" => {
            Some(finding(Rule::PrivilegeUnexpected, object, format!("{shape} to {name}")))
        }
        _ => None,
    });
    gone.chain(more).collect()
}

/// Returns whether `object` is a `security definer` function that the migrations create.
pub(super) fn has_definer(object: &str) -> bool {
    expected().any(|(kind, name, _, shape)| {
        kind == "function" && name == object && shape.starts_with("definer ")
    })
}
