//! Which texts an embedder may run in a transaction: one statement that reads or changes rows.

use std::fmt;

/// The words that such a statement begins with.
const ALLOWED: [&str; 8] =
    ["select", "insert", "update", "delete", "merge", "with", "values", "table"];

/// Refuses a statement that would end or nest the transaction, take on another role or change a setting.
///
/// It looks at the first word, which decides what a statement is: whatever is not allowed is refused. A second
/// statement behind it is Postgres's to refuse, since texts are sent as one statement
/// ([`TxConn`](crate::pg::TxConn)).
pub(in crate::pg) fn check(sql: &str) -> Result<(), RefusedStatement> {
    let word = first_word(sql);
    if ALLOWED.iter().any(|allowed| word.eq_ignore_ascii_case(allowed)) {
        return Ok(());
    }
    // Not the whole text, of which values may be part.
    Err(RefusedStatement { word: word.chars().take(20).collect() })
}

/// Refuses for the error type of the driver.
pub(in crate::pg) fn checked(sql: &str) -> Result<(), sqlx::Error> {
    check(sql).map_err(|refused| sqlx::Error::AnyDriverError(Box::new(refused)))
}

/// The first word behind white space, comments and parentheses.
/// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS>
fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|char: char| char.is_ascii_whitespace() || char == '(');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = behind_comment(comment);
        } else {
            let end = rest.find(|char: char| !char.is_ascii_alphabetic() && char != '_');
            return &rest[..end.unwrap_or(rest.len())];
        }
    }
}

/// What stands behind the end of a comment. They nest.
fn behind_comment(comment: &str) -> &str {
    let (mut depth, mut rest) = (1, comment);
    while depth > 0 {
        let Some(next) = rest.find(['*', '/']) else { return "" };
        let (change, length) = match rest.get(next..next + 2) {
            Some("/*") => (1, 2),
            Some("*/") => (-1, 2),
            _ => (0, 1),
        };
        depth += change;
        rest = &rest[next + length..];
    }
    rest
}

/// A text that is not run in a transaction of the library's.
#[derive(Debug)]
pub(in crate::pg) struct RefusedStatement {
    word: String,
}

impl fmt::Display for RefusedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word } = self;
        let allowed = ALLOWED.join(", ");
        write!(
            f,
            "a statement that begins with `{word}` is not run here, but one with any of {allowed}; a transaction is \
             ended by `commit` and `rollback` of the type that it came in, and its role and settings stay as they are"
        )
    }
}

impl std::error::Error for RefusedStatement {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_read_or_change_rows_are_run() {
        for sql in [
            "select 1",
            " \n\tSELECT 1",
            "-- why\nupdate a set b = 1",
            "/* a /* nested */ one */ insert into a values (1)",
            "((select 1) union (select 2))",
            "with a as (select 1) select * from a",
            "values (1)",
            "table a",
            "merge into a using b on true when matched then delete",
            "select'x'",
        ] {
            assert!(check(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "commit",
            "rollback to savepoint a",
            "BEGIN",
            "start transaction",
            "savepoint a",
            "release a",
            "prepare transaction 'a'",
            "set role mt_system",
            "set local mt.tenant_id = ''",
            "reset role",
            "discard all",
            "do $$ begin end $$",
            "call a()",
            "copy a to stdout",
            "lock a",
            "listen a",
            "execute a",
            "deallocate all",
            "explain analyze delete from a",
            "/* select */ commit",
            "-- select\ncommit",
            "--\rcommit",
            "/*/ select */ commit",
            "/* select",
            "selective",
            "select_all",
            "; select 1",
            "\u{a0}select 1",
            "",
        ] {
            let refused = check(sql).unwrap_err().to_string();
            assert!(refused.contains("select, insert"), "{sql}: {refused}");
        }
        let long = check(&"x".repeat(1000)).unwrap_err();
        assert_eq!(long.word.len(), 20);
    }
}
