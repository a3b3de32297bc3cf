//! A comparison of the writes that the server acknowledged with those that are stored.

use std::collections::{BTreeMap, BTreeSet};

/// The writes of one kind. Each has a unique name, and the server gives it an id.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteLog {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<(String, String)>,
}

/// The differences between the log and the database.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Comparison {
    /// Writes that the server acknowledged.
    pub(super) acknowledged: usize,
    /// Writes that are stored although no answer arrived.
    pub(super) unanswered: usize,
    /// Acknowledged writes that are not stored.
    pub(super) lost: Vec<String>,
    /// Writes that were applied more than once, or acknowledged under two ids.
    pub(super) doubled: Vec<String>,
    /// Stored writes that were never sent.
    pub(super) unknown: Vec<String>,
}

impl WriteLog {
    /// Records that a write of this name is sent.
    pub(super) fn send(&mut self, name: &str) {
        self.sent.insert(name.to_owned());
    }

    /// Records that the server acknowledged the write of this name under this id.
    pub(super) fn acknowledge(&mut self, name: &str, id: &str) {
        self.acknowledged.insert((name.to_owned(), id.to_owned()));
    }

    /// Compares the log with the rows of the database, one row for each time that a write was applied.
    pub(super) fn compare(&self, stored: &[(String, String)]) -> Comparison {
        let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in stored {
            ids.entry(name).or_default().push(id);
        }
        let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in &self.acknowledged {
            told.entry(name).or_default().push(id);
        }
        let names: BTreeSet<&str> = ids.keys().chain(told.keys()).copied().collect();
        let mut comparison = Comparison { acknowledged: told.len(), ..Comparison::default() };
        for name in names {
            let rows = ids.get(name).map_or(&[][..], Vec::as_slice);
            let answers = told.get(name).map_or(&[][..], Vec::as_slice);
            if answers.iter().any(|id| !rows.contains(id)) {
                comparison.lost.push(name.to_owned());
            }
            if rows.len() > 1 || answers.len() > 1 {
                comparison.doubled.push(name.to_owned());
            }
            if !self.sent.contains(name) {
                comparison.unknown.push(name.to_owned());
            }
            comparison.unanswered += usize::from(answers.is_empty());
        }
        comparison
    }
}

impl Comparison {
    /// Whether no write is lost, doubled or unknown.
    pub(super) fn is_equal(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.unknown.is_empty()
    }
}

/// Ten writes, of which eight were acknowledged and nine are stored, and the rows.
fn ten_writes() -> (WriteLog, Vec<(String, String)>) {
    let mut account = WriteLog::default();
    let mut stored = Vec::new();
    for number in 0..10 {
        let (name, id) = (format!("write {number}"), format!("id {number}"));
        account.send(&name);
        if number < 8 {
            account.acknowledge(&name, &id);
        }
        if number < 9 {
            stored.push((name, id));
        }
    }
    (account, stored)
}

#[test]
fn writes_that_are_stored_once_balance() {
    let (mut account, stored) = ten_writes();
    let even = Comparison { acknowledged: 8, unanswered: 1, ..Comparison::default() };
    assert_eq!(account.compare(&stored), even);
    // The same answer to a repeated request is not a second write.
    account.acknowledge("write 3", "id 3");
    assert_eq!(account.compare(&stored), even);
    assert!(even.is_equal());
}

#[test]
fn lost_and_doubled_writes_are_detected() {
    let (account, stored) = ten_writes();
    let named = |comparison: &Comparison| {
        let Comparison { lost, doubled, unknown, .. } = comparison.clone();
        assert!(!comparison.is_equal());
        [lost, doubled, unknown].map(|names| names.join(", "))
    };

    // A modified list of answers: one write that was not stored, and one with a second id.
    let mut doctored = account.clone();
    doctored.acknowledge("write 9", "id 9");
    doctored.acknowledge("write 5", "id 55");
    assert_eq!(named(&doctored.compare(&stored)), ["write 5, write 9", "write 5", ""]);

    // A modified database: an acknowledged row is missing, an unanswered one is doubled, one is unknown.
    let mut rows = stored.clone();
    rows.retain(|(name, _)| name != "write 2");
    rows.push(("write 8".to_owned(), "id 88".to_owned()));
    rows.push(("write 99".to_owned(), "id 99".to_owned()));
    assert_eq!(named(&account.compare(&rows)), ["write 2", "write 8", "write 99"]);
}
