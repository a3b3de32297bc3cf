//! A job that is enqueued runs, in a transaction of its tenant.

use mt_core::access::AccessRequest;
use mt_core::pg::audit_log::in_request;
use mt_core::pg::jobs::{JobFilter, JobStatus, RunsAs, enqueue, list};

use super::*;
use crate::support::NotesRead;

#[tokio::test]
async fn job_runs_once_its_transaction_is_committed() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, _) = world.jobs(hasty());
    let request = AccessRequest::<NotesWrite>::new(ada, tenant);
    let mut tx = world.tenants.begin(request).await.unwrap();
    let lost = enqueue(&mut tx, &note("lost", "")).await.unwrap();
    assert!(lost.is_new && !jobs.run_next().await.unwrap(), "it is not committed");
    tx.rollback().await.unwrap();
    assert!(!jobs.run_next().await.unwrap());

    let kept = in_request("req-1", world.enqueue(ada, tenant, &note("kept", ""))).await;
    let job = world.job(kept.id).await;
    assert_eq!((job.status, job.kind.as_str(), job.tenant), (JobStatus::Ready, "note", tenant));
    assert_eq!((job.runs_as, job.principal), (RunsAs::Principal, Some(ada.id())));
    assert_eq!((job.service, job.request_id.as_deref()), (None, Some("req-1")));
    assert!(jobs.run_next().await.unwrap());
    assert!(!jobs.run_next().await.unwrap());
    assert_eq!(world.notes().await, ["kept"]);
    let job = world.job(kept.id).await;
    assert_eq!((job.status, job.attempts, job.failures), (JobStatus::Done, 1, 0));
    assert!(job.done_at.is_some() && job.lease_until.is_none());
    assert_eq!(jobs.stats().attempts(), [(("note", "done"), 1)].into());
    world.no_transaction_stays_open().await;
}

#[tokio::test]
async fn job_sees_its_own_tenant_and_may_enqueue_another() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let [one, other] = [world.tenant(ada).await, world.tenant(ada).await];
    let (jobs, _) = world.jobs(hasty());
    world.enqueue(ada, one, &note("one", "enqueue")).await;
    world.enqueue(ada, other, &note("other", "")).await;
    while jobs.run_next().await.unwrap() {}
    let request = AccessRequest::<NotesRead>::new(ada, one);
    let mut tx = world.tenants.begin(request).await.unwrap();
    assert_eq!(crate::support::all_notes(&mut tx).await, ["one", "one again"]);
    // A tenant sees its own jobs.
    let kinds: Vec<String> = sqlx::query_scalar("select kind from mt.jobs")
        .fetch_all(tx.query::<NotesRead>())
        .await
        .unwrap();
    assert_eq!(kinds, ["note", "note"]);
    tx.commit().await.unwrap();
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    let filter = JobFilter { tenant: Some(other), ..JobFilter::default() };
    let listed = list(&mut tx, &filter, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(list(&mut tx, &filter, Some(listed[0].id), 10).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn scheduled_job_waits_for_its_time() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let (jobs, _) = world.jobs(hasty());
    let later = note("later", "");
    let hour = Duration::from_hours(1);
    let job = world.enqueue(ada, tenant, NewJob::new(&later).after(hour)).await;
    assert_eq!(world.job(job.id).await.status, JobStatus::Scheduled);
    assert!(!jobs.run_next().await.unwrap());
    world.later().await;
    assert!(jobs.run_next().await.unwrap());
    let past = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let job = world.enqueue(ada, tenant, NewJob::new(&later).at(past)).await;
    assert_eq!(world.job(job.id).await.status, JobStatus::Ready);
    assert!(jobs.run_next().await.unwrap());
    assert_eq!(world.notes().await, ["later", "later"]);
}

/// Claim 2, opening 1, insert 1 (prepared: 2), mark and commit 1.
#[tokio::test]
async fn effect_and_mark_cost_one_round_trip_more_than_the_effect() {
    let world = World::new(2).await;
    let ada = world.user("ada").await;
    let tenant = world.tenant(ada).await;
    let relay = mt_core::testing::Relay::start(&world.db.login()).await.unwrap();
    let options = mt_core::pg::DatabaseOptions::new(relay.through(world.db.login()))
        .max_connections(2)
        .statements(mt_core::pg::Statements::Named);
    let database = mt_core::pg::Database::connect(options).await.unwrap();
    let tenants = database.tenants(mt_core::billing::StandingPolicy::default());
    let (jobs, _) = jobs(&tenants, hasty());
    let mut trips = Vec::new();
    for _ in 0..4 {
        world.enqueue(ada, tenant, &note("x", "")).await;
        _ = relay.take_round_trips();
        assert!(jobs.run_next().await.unwrap());
        trips = relay.take_round_trips();
    }
    let of_job: Vec<&String> =
        trips.iter().skip_while(|trip| !trip.contains("mt_authority")).collect();
    assert_eq!(of_job.len(), 3, "{trips:#?}");
    assert!(of_job[2].ends_with("commit"), "{trips:#?}");
}
