//! The grammar of a `.env` file.
//!
//! The file is UTF-8, with or without a byte order mark; lines end with LF or CRLF. A line is blank, a comment that
//! begins with `#`, or `NAME=value`, optionally after `export`. Spaces and tabs around the name, the `=` and the
//! value are ignored. A name consists of ASCII letters, digits and `_`, does not begin with a digit and is set once.
//! The value is one of:
//!
//! | form | meaning | may not contain |
//! | --- | --- | --- |
//! | `value` | literal, up to white space and `#`, where a comment begins | white space, quotes, `\`, `#` at its beginning |
//! | `'value'` | literal | `'`, `\` at its end |
//! | `"value"` | with the escapes `\\`, `\"`, `\$`, `\n`, `\r` and `\t` | another `\` |
//!
//! A quoted value ends on its line, and only a comment may follow it. **Nothing is substituted: `$` is literal.**
//! Control characters other than a tab are refused.
//!
//! The grammar leaves out what other parsers of such files read differently: Docker Compose, `sh` and other
//! libraries. Docker Compose reads every accepted file alike, except for `$` outside of single quotes, which it
//! substitutes.

use std::collections::BTreeMap;

/// The characters that separate tokens on a line.
const BLANK: [char; 2] = [' ', '\t'];

/// Parses a file and returns its names and values.
///
/// # Errors
///
/// Every line that does not match the grammar.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, Vec<BadLine>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        vec![BadLine { line, problem: Problem::NotUtf8 }]
    })?;
    let (mut values, mut lines, mut bad) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (line, text) in (1..).zip(text.split('\n')) {
        match assignment(text.strip_suffix('\r').unwrap_or(text)) {
            Ok(None) => {}
            Ok(Some((name, value))) => match lines.insert(name.to_owned(), line) {
                None => drop(values.insert(name.to_owned(), value)),
                Some(first) => bad.push(BadLine { line, problem: Problem::SetBefore(first) }),
            },
            Err(problem) => bad.push(BadLine { line, problem }),
        }
    }
    if bad.is_empty() { Ok(values) } else { Err(bad) }
}

/// A line that does not parse. Its message does not show the text, which may be a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(super) struct BadLine {
    line: usize,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Problem {
    #[error("a quoted value must be followed by nothing but a comment")]
    AfterQuote,
    #[error("a value that ends with a backslash must be in double quotes, with `\\\\` at its end")]
    Backslash,
    #[error("contains a control character")]
    Control,
    #[error("in double quotes a backslash must be followed by `\\`, `\"`, `$`, `n`, `r` or `t`")]
    Escape,
    #[error(
        "a value that begins with `#` must be in quotes, and a comment must stand on a line of its own"
    )]
    Hash,
    #[error("expected `NAME=value`, with a name of letters, digits and `_`")]
    Name,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("a value with quotes or backslashes must be in quotes itself")]
    Quote,
    #[error("the name is already set in line {0}")]
    SetBefore(usize),
    #[error("a value with white space must be in quotes")]
    Space,
    #[error("the quote does not end on this line")]
    Unterminated,
}

fn assignment(line: &str) -> Result<Option<(&str, String)>, Problem> {
    // Checked first, because a carriage return may be a line ending of the file's author.
    if line.chars().any(|char| char.is_control() && char != '\t') {
        return Err(Problem::Control);
    }
    let line = line.trim_matches(BLANK);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(BLANK) => rest.trim_start_matches(BLANK),
        _ => line,
    };
    let is_of_a_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let (name, rest) = line.split_at(line.find(|char| !is_of_a_name(char)).unwrap_or(line.len()));
    if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(Problem::Name);
    }
    let value = rest.trim_start_matches(BLANK).strip_prefix('=').ok_or(Problem::Name)?;
    let value = value.trim_start_matches(BLANK);
    let value = match value.as_bytes().first() {
        Some(b'\'') => single_quoted(&value[1..])?,
        Some(b'"') => double_quoted(&value[1..])?,
        _ => plain(value)?,
    };
    Ok(Some((name, value)))
}

fn plain(text: &str) -> Result<String, Problem> {
    let value = text.split_once(" #").map_or(text, |(value, _comment)| value);
    let value = value.trim_end_matches(BLANK);
    if value.starts_with('#') {
        return Err(Problem::Hash);
    }
    if value.contains(char::is_whitespace) {
        return Err(Problem::Space);
    }
    if value.contains(['\'', '"', '\\']) {
        return Err(Problem::Quote);
    }
    Ok(value.to_owned())
}

/// Parses the text after an opening single quote.
fn single_quoted(text: &str) -> Result<String, Problem> {
    let (value, rest) = text.split_once('\'').ok_or(Problem::Unterminated)?;
    if value.ends_with('\\') {
        return Err(Problem::Backslash);
    }
    is_followed_by_nothing(rest)?;
    Ok(value.to_owned())
}

/// Parses the text after an opening double quote.
fn double_quoted(text: &str) -> Result<String, Problem> {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next().ok_or(Problem::Unterminated)? {
            '"' => break,
            '\\' => value.push(match chars.next().ok_or(Problem::Unterminated)? {
                char @ ('\\' | '"' | '$') => char,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return Err(Problem::Escape),
            }),
            char => value.push(char),
        }
    }
    is_followed_by_nothing(chars.as_str())?;
    Ok(value)
}

fn is_followed_by_nothing(rest: &str) -> Result<(), Problem> {
    let comment = rest.trim_start_matches(BLANK);
    let is_comment = comment.starts_with('#') && comment.len() < rest.len();
    if comment.is_empty() || is_comment { Ok(()) } else { Err(Problem::AfterQuote) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, Vec<Problem>> {
        let parsed = parse(format!("A={text}").as_bytes());
        let problems = |bad: Vec<BadLine>| bad.into_iter().map(|bad| bad.problem).collect();
        parsed.map(|mut values| values.remove("A").unwrap()).map_err(problems)
    }

    #[test]
    fn each_form_of_a_value_is_parsed_as_documented() {
        for (text, expected) in [
            ("", ""),
            ("  ", ""),
            ("a", "a"),
            ("a#b", "a#b"),
            ("a #b", "a"),
            (" a=b  # c", "a=b"),
            ("$a${b}$$", "$a${b}$$"),
            ("https://a/?b&c;d", "https://a/?b&c;d"),
            ("''", ""),
            (r"'a $b # ${c} \n \\d'", r"a $b # ${c} \n \\d"),
            ("'Acme \"Teams\" <a@b.example>'  # from", "Acme \"Teams\" <a@b.example>"),
            (r#""a \"b\" 'c' \\ \$d $e # \n\r\t""#, "a \"b\" 'c' \\ $d $e # \n\r\t"),
            ("\"a\tb\"\t# c", "a\tb"),
            ("é", "é"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn values_that_other_parsers_read_differently_are_refused() {
        for (text, problem) in [
            ("Acme Teams <teams@acme.example>", Problem::Space),
            ("a\u{a0}b", Problem::Space),
            ("a\t# b", Problem::Space),
            ("a'b", Problem::Quote),
            ("a\"b\"", Problem::Quote),
            (r"a\b", Problem::Quote),
            ("#a", Problem::Hash),
            ("   # a", Problem::Hash),
            ("'a", Problem::Unterminated),
            ("\"a", Problem::Unterminated),
            (r#""a\""#, Problem::Unterminated),
            (r#""a\"#, Problem::Unterminated),
            ("'a'b", Problem::AfterQuote),
            ("'a'#b", Problem::AfterQuote),
            ("'a' b", Problem::AfterQuote),
            ("'a'''", Problem::AfterQuote),
            ("\"a\" B=c", Problem::AfterQuote),
            (r"'a\'", Problem::Backslash),
            (r#""\x""#, Problem::Escape),
            (r#""\'""#, Problem::Escape),
            ("a\rB=c", Problem::Control),
            ("'a\0'", Problem::Control),
            ("'a\u{1b}'", Problem::Control),
        ] {
            assert_eq!(value(text), Err(vec![problem]), "{text:?}");
        }
    }

    #[test]
    fn lines_are_assignments_comments_or_blank() {
        let file = "\u{feff}# a comment\r\n\r\n \t\n  A = 1\nexport B=2\r\nexport\tC='3'\nexport=4\n_d5=5\n# end";
        let values = parse(file.as_bytes()).unwrap();
        let values: Vec<_> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(values, ["A=1", "B=2", "C=3", "_d5=5", "export=4"]);
        for line in ["A", "A:1", "A B=1", "1A=1", "A-B=1", "A.B=1", "=1", "export =1", "é=1", "a(b"]
        {
            let bad = parse(line.as_bytes()).unwrap_err();
            assert_eq!(bad, [BadLine { line: 1, problem: Problem::Name }], "{line}");
        }
    }

    #[test]
    fn every_bad_line_is_reported_by_its_number() {
        let file = "A=1\nnonsense\n# fine\nB='x\nA=2\nC=3\n";
        let bad: Vec<_> = parse(file.as_bytes()).unwrap_err();
        assert_eq!(
            bad,
            [
                BadLine { line: 2, problem: Problem::Name },
                BadLine { line: 4, problem: Problem::Unterminated },
                BadLine { line: 5, problem: Problem::SetBefore(1) },
            ]
        );
        let bad = parse(b"A=1\nB=2\nC=\xff\n").unwrap_err();
        assert_eq!(bad, [BadLine { line: 3, problem: Problem::NotUtf8 }]);
        // A file of the classic Mac OS is one line to other parsers, and a comment would hide all of it.
        let bad = parse(b"# a\rAPP_ENV=prod\r").unwrap_err();
        assert_eq!(bad, [BadLine { line: 1, problem: Problem::Control }]);
    }
}
