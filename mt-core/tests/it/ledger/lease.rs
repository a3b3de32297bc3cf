//! A worker that has lost its lease commits nothing.

use mt_core::pg::ledger::EventStatus;

use super::*;

fn short() -> RetryPolicy {
    RetryPolicy { lease: Duration::from_millis(200), ..hasty() }
}

/// A worker stalls with a claimed event until another worker has finished it, and then goes on. Returns the result.
async fn zombie(world: &World, slow: Ledger<Standard>, gate: &Gate) -> bool {
    world.store(event("msg_1", "slow before")).await;
    let stalled = tokio::spawn(async move { slow.apply_next_due().await });
    gate.entered.notified().await;
    let quick = world.ledger(short());
    eventually("the lease runs out", async || quick.apply_next_due().await.unwrap()).await;
    assert_eq!(world.event("msg_1").await.status, EventStatus::Processed);
    assert_eq!(world.counter().await, 1);
    gate.opened.notify_one();
    stalled.await.unwrap().unwrap()
}

#[tokio::test]
async fn worker_that_lost_its_lease_commits_nothing() {
    let world = World::new().await;
    let (slow, gate) = world.gated(short());
    assert!(zombie(&world, slow, &gate).await);
    assert_eq!(world.counter().await, 1);
    let event = world.event("msg_1").await;
    assert_eq!((event.status, event.attempts), (EventStatus::Processed, 2));
    assert_eq!(world.outcomes("msg_1").await, ["abandoned", "processed"]);
}

/// The control: with the fence taken out of the statements, the zombie applies the event once more.
#[tokio::test]
async fn without_the_lease_check_a_late_worker_applies_the_event_again() {
    let world = World::new().await;
    let (_relay, unfenced) = world
        .rewritten(|sql| {
            let (before, after) =
                sql.split_once(" and status = 'processing' and lease_token = ")?;
            match after.strip_prefix("$2") {
                Some(after) => Some(format!("{before} and $2::uuid is not null{after}")),
                // A quoted UUID, here and once more in the message.
                None => Some(without_tokens(sql)),
            }
        })
        .await;
    let gate = Arc::new(Gate::default());
    let provider = Standard { gate: Arc::clone(&gate) };
    let slow = Ledger::new(unfenced.system(), provider, short());
    assert!(zombie(&world, slow, &gate).await);
    assert_eq!(world.counter().await, 2);
}

fn without_tokens(sql: &str) -> String {
    let fence = " and status = 'processing' and lease_token = ";
    let mut parts = sql.split(fence);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| whole + &part["'00000000-0000-0000-0000-000000000000'".len()..])
}

/// While its transaction is open it holds the row, and no worker takes the event over, even after the lease.
#[tokio::test]
async fn slow_effect_is_not_overtaken() {
    let world = World::new().await;
    let (slow, gate) = world.gated(short());
    world.store(event("msg_1", "slow")).await;
    let stalled = tokio::spawn(async move { slow.apply_next_due().await });
    gate.entered.notified().await;
    let over = "select count(*) from mt.webhook_events where lease_until < clock_timestamp()";
    eventually("the lease runs out", async || world.number(over).await == 1).await;
    assert!(!world.ledger(short()).apply_next_due().await.unwrap(), "a slow worker applies it");
    gate.opened.notify_one();
    assert!(stalled.await.unwrap().unwrap());
    assert_eq!((world.counter().await, world.event("msg_1").await.attempts), (1, 1));
}

/// The connection of the worker ends during the effect: by a crash, or by the idle timeout of transactions.
#[tokio::test]
async fn worker_disconnected_during_the_effect_commits_nothing() {
    let world = World::new().await;
    let (slow, gate) = world.gated(short());
    world.store(event("msg_1", "slow")).await;
    let stalled = tokio::spawn(async move { slow.apply_next_due().await });
    gate.entered.notified().await;
    world
        .sql(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and state = 'idle in transaction'",
        )
        .await;
    let quick = world.ledger(short());
    eventually("the lease runs out", async || quick.apply_next_due().await.unwrap()).await;
    assert_eq!(world.counter().await, 1);
    gate.opened.notify_one();
    assert!(stalled.await.unwrap().unwrap());
    assert_eq!(world.counter().await, 1);
    assert_eq!(world.outcomes("msg_1").await, ["abandoned", "processed"]);
}
