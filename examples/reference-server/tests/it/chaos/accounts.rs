//! What clients were told beside what is stored.

use std::collections::{BTreeMap, BTreeSet};

/// The writes of one kind: each has a name that no other has, and the server gives it an id.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<(String, String)>,
}

/// How an account and the database differ.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Balance {
    /// Writes that the server said it has carried out.
    pub(super) acknowledged: usize,
    /// Writes that are stored although no answer came back.
    pub(super) unanswered: usize,
    /// Acknowledged writes that are not stored.
    pub(super) lost: Vec<String>,
    /// Writes that were carried out more than once, or acknowledged under two ids.
    pub(super) doubled: Vec<String>,
    /// What is stored and was never sent.
    pub(super) unknown: Vec<String>,
}

impl Account {
    /// A request with this name leaves.
    pub(super) fn send(&mut self, name: &str) {
        self.sent.insert(name.to_owned());
    }

    /// The server has said that the write of this name is done, and under which id.
    pub(super) fn acknowledge(&mut self, name: &str, id: &str) {
        self.acknowledged.insert((name.to_owned(), id.to_owned()));
    }

    /// Compares the account with the rows of the database, a row for each time that a write was carried out.
    pub(super) fn balance(&self, stored: &[(String, String)]) -> Balance {
        let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in stored {
            ids.entry(name).or_default().push(id);
        }
        let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in &self.acknowledged {
            told.entry(name).or_default().push(id);
        }
        let names: BTreeSet<&str> = ids.keys().chain(told.keys()).copied().collect();
        let mut balance = Balance { acknowledged: told.len(), ..Balance::default() };
        for name in names {
            let rows = ids.get(name).map_or(&[][..], Vec::as_slice);
            let answers = told.get(name).map_or(&[][..], Vec::as_slice);
            if answers.iter().any(|id| !rows.contains(id)) {
                balance.lost.push(name.to_owned());
            }
            if rows.len() > 1 || answers.len() > 1 {
                balance.doubled.push(name.to_owned());
            }
            if !self.sent.contains(name) {
                balance.unknown.push(name.to_owned());
            }
            balance.unanswered += usize::from(answers.is_empty());
        }
        balance
    }
}

impl Balance {
    /// Whether nothing is lost, doubled or unheard of.
    pub(super) fn is_even(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.unknown.is_empty()
    }
}

/// Ten writes, of which eight were acknowledged and nine are stored, and the rows.
fn ten_writes() -> (Account, Vec<(String, String)>) {
    let mut account = Account::default();
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
    let even = Balance { acknowledged: 8, unanswered: 1, ..Balance::default() };
    assert_eq!(account.balance(&stored), even);
    // The same answer to the same request once more is no second write.
    account.acknowledge("write 3", "id 3");
    assert_eq!(account.balance(&stored), even);
    assert!(even.is_even());
}

#[test]
fn a_lost_and_a_doubled_write_are_found() {
    let (account, stored) = ten_writes();
    let named = |balance: &Balance| {
        let Balance { lost, doubled, unknown, .. } = balance.clone();
        assert!(!balance.is_even());
        [lost, doubled, unknown].map(|names| names.join(", "))
    };

    // The list of answers is doctored: one more than was stored, and one with a second id.
    let mut doctored = account.clone();
    doctored.acknowledge("write 9", "id 9");
    doctored.acknowledge("write 5", "id 55");
    assert_eq!(named(&doctored.balance(&stored)), ["write 5, write 9", "write 5", ""]);

    // The database is: an acknowledged row is gone, an unanswered one is there twice, one is a stranger.
    let mut rows = stored.clone();
    rows.retain(|(name, _)| name != "write 2");
    rows.push(("write 8".to_owned(), "id 88".to_owned()));
    rows.push(("write 99".to_owned(), "id 99".to_owned()));
    assert_eq!(named(&account.balance(&rows)), ["write 2", "write 8", "write 99"]);
}
