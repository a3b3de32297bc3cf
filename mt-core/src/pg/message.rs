//! Several statements that go to Postgres together and are answered together, in one round trip.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::connections::Prepared;
use super::database::Statements;
use super::query::{Value, written_out};

/// One message of the simple protocol.
///
/// It takes no parameters, and what it says is planned each time it is said; with row-level security that
/// is most of what a small statement costs. So what is said often is prepared by the message itself, the
/// first time that a connection hears it, and only executed from then on.
#[derive(Debug, Default)]
pub(super) struct Message {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// As it stands.
    Say(Cow<'static, str>),
    /// Planned once a connection, then run with its values.
    Run(Cow<'static, str>, Vec<Value>),
}

impl Message {
    /// Goes on with `sql`, which is of this crate, or made of UUIDs and words of the program.
    pub(super) fn say(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.steps.push(Step::Say(sql.into()));
        self
    }

    /// Goes on with a statement that is the same each time but for its values.
    pub(super) fn run(mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        self.steps.push(Step::Run(sql.into(), values));
        self
    }

    /// Whether it says nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The text to send, and which statements the connection knows once it is answered.
    ///
    /// Without names, values are written into statements: those of an embedder do not get here then.
    pub(super) fn compose(
        &self,
        known: &Prepared,
        statements: Statements,
    ) -> (String, Vec<String>) {
        let mut text = String::with_capacity(1024);
        let mut new = Vec::new();
        for step in &self.steps {
            if !text.is_empty() {
                text.push_str("; ");
            }
            match (step, statements) {
                (Step::Say(sql), _) => text.push_str(sql),
                (Step::Run(sql, values), Statements::Unnamed) => {
                    text.push_str(&written_out(sql, values));
                }
                (Step::Run(sql, values), Statements::Named) => {
                    let number = known.number(sql).or_else(|| position(&new, sql, known));
                    let number = number.unwrap_or_else(|| {
                        let number = number_of(new.len(), known);
                        let types: Vec<_> = values.iter().map(Value::sql_type).collect();
                        _ = write!(text, "prepare mt_{number}{} as {sql}; ", list(&types));
                        new.push(sql.clone().into_owned());
                        number
                    });
                    _ = write!(text, "execute mt_{number}{}", list(values));
                }
            }
        }
        (text, new)
    }
}

/// The number of a statement that this message has prepared already.
fn position(new: &[String], sql: &str, known: &Prepared) -> Option<u32> {
    let place = new.iter().position(|one| one == sql)?;
    Some(number_of(place, known))
}

fn number_of(place: usize, known: &Prepared) -> u32 {
    known.next() + u32::try_from(place).expect("a message has few statements")
}

/// `(a, b)`, and nothing for none.
fn list(items: &[impl std::fmt::Display]) -> String {
    let mut list = String::new();
    for (place, item) in items.iter().enumerate() {
        _ = write!(list, "{}{item}", if place == 0 { "(" } else { ", " });
    }
    if !list.is_empty() {
        list.push(')');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let both = || vec![Value::from(1_i64), Value::from(None::<&str>)];
        Message::default().say("begin").run("select $1, $2", both()).run("select $1, $2", both())
    }

    #[test]
    fn a_statement_is_prepared_once_a_connection() {
        let mut known = Prepared::default();
        let (text, new) = message().compose(&known, Statements::Named);
        let once = "prepare mt_0(bigint, text) as select $1, $2; ";
        assert_eq!(text, format!("begin; {once}execute mt_0(1, null); execute mt_0(1, null)"));
        for sql in new {
            known.learn(sql);
        }
        let (text, new) = message().run("select 2", vec![]).compose(&known, Statements::Named);
        let again = "begin; execute mt_0(1, null); execute mt_0(1, null)";
        assert_eq!(text, format!("{again}; prepare mt_1 as select 2; execute mt_1"));
        assert_eq!(new, ["select 2"]);
    }

    #[test]
    fn without_names_values_are_written_out() {
        let (text, new) = message().compose(&Prepared::default(), Statements::Unnamed);
        assert_eq!(text, "begin; select 1, null; select 1, null");
        assert!(new.is_empty());
    }
}
