//! Several statements that go to Postgres together and are answered together, in one round trip.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::exchange::Mode;
use super::seal::{Entrant, SealKey};
use super::tx_settings::{Isolation, TxSettings};
use super::value::{Value, written_out};
use crate::pg::connection::live_connection::Prepared;
use crate::pg::connection::statements::Statements;

/// One message of the simple protocol.
///
/// The simple protocol has no parameters, and Postgres plans each text anew; with row-level security, planning is most of
/// what a small statement costs. So the message prepares a statement when the connection first meets it, and executes it
/// from then on.
#[derive(Debug, Default)]
pub(in crate::pg) struct Batch {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Begins a transaction, with this isolation level or that of the settings.
    Begin(Mode, Option<Isolation>),
    /// Sets the limits of the transaction.
    Limits,
    /// Sets the tenant and seals it.
    Enter(Entrant),
    /// SQL as it stands.
    Text(Cow<'static, str>),
    /// A statement that is planned once a connection, and its values.
    Statement(Cow<'static, str>, Vec<Value>),
}

/// The connection that a message is composed for.
pub(in crate::pg) struct Target<'c> {
    /// The statements that it has prepared.
    pub(in crate::pg) prepared: &'c Prepared,
    /// Whether it keeps prepared statements.
    pub(in crate::pg) statements: Statements,
    /// The process that serves it, and 0 behind a pooler.
    pub(in crate::pg) backend: i32,
    /// What tickets are made with, for a message that enters.
    pub(in crate::pg) key: Option<&'c SealKey>,
    pub(in crate::pg) settings: &'c TxSettings,
}

impl Batch {
    /// Begins a transaction with the isolation level of the settings, or this one.
    pub(in crate::pg) fn begin(mut self, mode: Mode, isolation: Option<Isolation>) -> Self {
        self.steps.push(Step::Begin(mode, isolation));
        self
    }

    /// Sets the limits of the transaction.
    pub(in crate::pg) fn limits(mut self) -> Self {
        self.steps.push(Step::Limits);
        self
    }

    /// Adds `sql`, which is of this crate, or made of UUIDs and words of the program.
    pub(in crate::pg) fn text(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.steps.push(Step::Text(sql.into()));
        self
    }

    /// Adds a statement that is the same each time but for its values.
    pub(in crate::pg) fn statement(
        mut self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Self {
        self.steps.push(Step::Statement(sql.into(), values));
        self
    }

    /// Goes on as `entrant`.
    pub(in crate::pg) fn enter(mut self, entrant: Entrant) -> Self {
        self.steps.push(Step::Enter(entrant));
        self
    }

    /// Whether it needs a ticket.
    pub(in crate::pg) fn enters(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Enter(_)))
    }

    /// Adds all of `other`.
    pub(in crate::pg) fn then(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// Whether it has no statement.
    pub(in crate::pg) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The text to send, and the statements that the connection has prepared once it is answered.
    ///
    /// Without names, values are written into statements; those are of this crate.
    pub(in crate::pg) fn compose(&self, target: &Target<'_>) -> (String, Vec<String>) {
        let mut text = String::with_capacity(1024);
        let mut new = Vec::new();
        for step in &self.steps {
            if !text.is_empty() {
                text.push_str("; ");
            }
            match step {
                Step::Begin(mode, isolation) => {
                    let isolation = isolation.unwrap_or(target.settings.isolation);
                    text.push_str(&TxSettings::begin(*mode, isolation));
                }
                Step::Limits => text.push_str(&target.settings.limits()),
                Step::Text(sql) => text.push_str(sql),
                Step::Enter(entrant) => {
                    let key = target.key.expect("the key is read before a message that enters");
                    text.push_str(&key.call(target.backend, *entrant));
                }
                Step::Statement(sql, values) => match target.statements {
                    Statements::Unnamed => text.push_str(&written_out(sql, values)),
                    Statements::Named => execute(&mut text, &mut new, target.prepared, sql, values),
                },
            }
        }
        (text, new)
    }
}

/// Adds the execution of a statement, and before it, if the connection does not have it, its preparation.
fn execute(
    text: &mut String,
    new: &mut Vec<String>,
    prepared: &Prepared,
    sql: &str,
    values: &[Value],
) {
    let types: Vec<_> = values.iter().map(Value::sql_type).collect();
    // With other types it is another statement.
    let statement = format!("{} as {sql}", list(&types));
    let known = prepared.number(&statement);
    let number = known.or_else(|| position(new, &statement, prepared)).unwrap_or_else(|| {
        let number = number_of(new.len(), prepared);
        _ = write!(text, "prepare mt_{number}{statement}; ");
        new.push(statement);
        number
    });
    _ = write!(text, "execute mt_{number}{}", list(values));
}

/// The number of a statement that this message has prepared already.
fn position(new: &[String], statement: &str, prepared: &Prepared) -> Option<u32> {
    let place = new.iter().position(|one| one == statement)?;
    Some(number_of(place, prepared))
}

fn number_of(place: usize, prepared: &Prepared) -> u32 {
    prepared.next() + u32::try_from(place).expect("a message has few statements")
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

    fn target(prepared: &Prepared, statements: Statements) -> Target<'_> {
        Target { prepared, statements, backend: 0, key: None, settings: &TxSettings::DEFAULT }
    }

    fn message() -> Batch {
        let both = || vec![Value::from(1_i64), Value::from(None::<&str>)];
        Batch::default()
            .text("begin")
            .statement("select $1, $2", both())
            .statement("select $1, $2", both())
    }

    #[test]
    fn a_statement_is_prepared_once_a_connection() {
        let mut known = Prepared::default();
        let (text, new) = message().compose(&target(&known, Statements::Named));
        let once = "prepare mt_0(int8, text) as select $1, $2; ";
        assert_eq!(text, format!("begin; {once}execute mt_0('1', null); execute mt_0('1', null)"));
        for sql in new {
            known.learn(sql);
        }
        let longer = message().statement("select 2", vec![]);
        let (text, new) = longer.compose(&target(&known, Statements::Named));
        let again = "begin; execute mt_0('1', null); execute mt_0('1', null)";
        assert_eq!(text, format!("{again}; prepare mt_1 as select 2; execute mt_1"));
        assert_eq!(new, [" as select 2"]);
    }

    #[test]
    fn without_names_values_are_written_out() {
        let (text, new) = message().compose(&target(&Prepared::default(), Statements::Unnamed));
        assert_eq!(text, "begin; select '1', null; select '1', null");
        assert!(new.is_empty());
    }
}
