//! The customer lock: the ledger's transactions and `Customer::lock` exclude each other, for one customer.

use mt_core::pg::ledger::{Customer, EventStatus, Provider as _};

use super::*;

/// The customer of every signed event of these tests.
const CUSTOMER: Customer<'static> =
    Customer { provider: Standard::NAME, account: "", livemode: false, id: "c-1" };

/// Customers that differ from [`CUSTOMER`] in one part of their name: no lock of theirs is in the way of an event.
const OTHERS: [Customer<'static>; 4] = [
    Customer { provider: "another", ..CUSTOMER },
    Customer { account: "acct_1", ..CUSTOMER },
    Customer { livemode: true, ..CUSTOMER },
    Customer { id: "c-2", ..CUSTOMER },
];

/// How many backends of the database wait for an advisory lock.
const WAITING: &str = "select count(*) from pg_locks l join pg_database d on d.oid = l.database \
     where d.datname = current_database() and l.locktype = 'advisory' and not l.granted";

#[tokio::test]
async fn an_event_waits_for_a_transaction_that_holds_its_customer() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    CUSTOMER.lock(&mut tx).await.unwrap();
    let delivering = tokio::spawn({
        let ledger = ledger.clone();
        async move { deliver(&ledger, "msg_1", "count").await }
    });
    eventually("the event waits for the lock", async || world.number(WAITING).await == 1).await;
    assert_eq!(world.counter().await, 0);
    tx.commit().await.unwrap();
    assert_eq!(delivering.await.unwrap(), receipt(EventStatus::Processed, false));
    assert_eq!(world.counter().await, 1);
}

#[tokio::test]
async fn a_transaction_waits_for_the_event_that_holds_its_customer() {
    let world = World::new().await;
    let (ledger, gate) = world.gated(RetryPolicy::default());
    let delivering = tokio::spawn(async move { deliver(&ledger, "msg_1", "slow").await });
    gate.entered.notified().await;
    let system = world.database.system();
    let locking = tokio::spawn(async move {
        let mut tx = system.begin(LOOK).await.unwrap();
        CUSTOMER.lock(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    });
    eventually("the transaction waits for the lock", async || world.number(WAITING).await == 1)
        .await;
    assert!(!locking.is_finished());
    gate.opened.notify_one();
    assert_eq!(delivering.await.unwrap(), receipt(EventStatus::Processed, false));
    locking.await.unwrap();
}

/// The control: the lock of a customer whose name differs in one part does not exclude the event.
#[tokio::test]
async fn an_event_does_not_wait_for_other_customers() {
    let world = World::new().await;
    let ledger = world.ledger(RetryPolicy::default());
    let mut tx = world.database.system().begin(LOOK).await.unwrap();
    for other in OTHERS {
        other.lock(&mut tx).await.unwrap();
    }
    let delivered = deliver(&ledger, "msg_1", "count");
    let delivered = tokio::time::timeout(Duration::from_secs(20), delivered).await;
    assert_eq!(delivered.expect("it does not wait"), receipt(EventStatus::Processed, false));
    tx.commit().await.unwrap();
}
