//! Unique jobs.

use mt_core::access::AccessRequest;
use mt_core::pg::jobs::enqueue;

use super::*;

#[tokio::test]
async fn key_admits_one_unfinished_job() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let [tenant, other] = [world.tenant(ada).await, world.tenant(ada).await];
    let (jobs, _) = world.jobs(hasty());
    let job = note("x", "");
    let unique = || NewJob::new(&job).unique_by("nightly");
    let first = world.enqueue(ada, tenant, unique()).await;
    assert!(first.is_new);
    let again = world.enqueue(ada, tenant, unique()).await;
    assert_eq!((again.id, again.is_new), (first.id, false));
    // Another key, no key, another kind, another tenant.
    assert!(world.enqueue(ada, tenant, NewJob::new(&job).unique_by("weekly")).await.is_new);
    assert!(world.enqueue(ada, tenant, &job).await.is_new);
    let service = ServiceNote(note("y", ""));
    assert!(world.enqueue(ada, tenant, NewJob::new(&service).unique_by("nightly")).await.is_new);
    assert!(world.enqueue(ada, other, unique()).await.is_new);
    while jobs.run_next().await.unwrap() {}
    let next = world.enqueue(ada, tenant, unique()).await;
    assert!(next.is_new && next.id != first.id, "the first is finished");
}

/// Both transactions ask before either has committed: the second waits for the first, and gets its job.
#[tokio::test]
async fn concurrent_transactions_enqueue_one_job() {
    let world = Arc::new(World::new(4).await);
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let request = AccessRequest::<NotesWrite>::new(ada, tenant);
    let mut tx = world.tenants.begin(request).await.unwrap();
    let job = note("x", "");
    let first = enqueue(&mut tx, NewJob::new(&job).unique_by("k")).await.unwrap();
    let second = tokio::spawn({
        let (world, job) = (Arc::clone(&world), job.clone());
        async move { world.enqueue(ada, tenant, NewJob::new(&job).unique_by("k")).await }
    });
    let waiting = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock'";
    while world.count(waiting).await == 0 {
        assert!(!second.is_finished(), "it did not wait");
    }
    tx.commit().await.unwrap();
    let second = second.await.unwrap();
    assert_eq!((second.id, second.is_new), (first.id, false));
    assert_eq!(world.count("select count(*) from mt.jobs").await, 1);
}
