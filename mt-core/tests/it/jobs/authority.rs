//! The authority of a job: what it was enqueued with, and what is decided when it runs.

use mt_core::access::Suspension;
use mt_core::auth::Authenticator as _;
use mt_core::pg::Tenant;
use mt_core::pg::jobs::{JobStatus, RunsAs};

use mt_core::testing::isolation::KeyCallers;
use mt_core::token::TokenHasher;

use super::*;
use crate::support::Role;

/// A tenant with an owner and an editor, who enqueues one job of each authority.
async fn enqueued(world: &World) -> (TenantId, Principal, [JobId; 3]) {
    let owner = world.user("owner").await;
    let editor = world.user("editor").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, editor, Role::Editor).await;
    let as_principal = world.enqueue(editor, tenant, &note("principal", "")).await;
    let as_service = world.enqueue(editor, tenant, &ServiceNote(note("service", ""))).await;
    let as_both = world.enqueue(editor, tenant, &BothNote(note("both", ""))).await;
    (tenant, editor, [as_principal.id, as_service.id, as_both.id])
}

/// Runs what is ready, and returns status and reason of the jobs.
async fn outcomes(world: &World, ids: [JobId; 3]) -> [(JobStatus, String); 3] {
    let (jobs, _) = world.jobs(JobPolicy::default());
    while jobs.run_next().await.unwrap() {}
    let mut found = Vec::new();
    for id in ids {
        let job = world.job(id).await;
        let error = job.last_error.unwrap_or_default();
        found.push((job.status, error.split(':').next().unwrap().to_owned()));
    }
    found.try_into().unwrap()
}

const DONE: (JobStatus, &str) = (JobStatus::Done, "");

fn owned(outcomes: [(JobStatus, &str); 3]) -> [(JobStatus, String); 3] {
    outcomes.map(|(status, reason)| (status, reason.to_owned()))
}

#[tokio::test]
async fn job_runs_as_it_was_enqueued() {
    let world = World::new(4).await;
    let (_, editor, ids) = enqueued(&world).await;
    let [principal, service, both] =
        [world.job(ids[0]).await, world.job(ids[1]).await, world.job(ids[2]).await];
    assert_eq!(principal.runs_as, RunsAs::Principal);
    assert_eq!((service.runs_as, service.principal), (RunsAs::Service, None));
    assert_eq!((both.runs_as, both.principal), (RunsAs::Both, Some(editor.id())));
    assert_eq!(both.service.as_deref(), Some("archivist"));
    assert_eq!(outcomes(&world, ids).await, owned([DONE, DONE, DONE]));
    assert_eq!(world.notes().await, ["both", "principal", "service"]);
}

#[tokio::test]
async fn removed_demoted_and_signed_out_principals_run_nothing() {
    for (case, reason) in ["not_a_member", "forbidden", "signed_out"].into_iter().enumerate() {
        let world = World::new(4).await;
        let (tenant, editor, ids) = enqueued(&world).await;
        match case {
            0 => world.remove(tenant, editor).await,
            1 => world.demote(tenant, editor, Role::Viewer).await,
            _ => world.sign_out(editor).await,
        }
        let dead = (JobStatus::Dead, reason);
        assert_eq!(outcomes(&world, ids).await, owned([dead, DONE, dead]));
        assert_eq!(world.notes().await, ["service"], "the service does not depend on the member");
    }
}

#[tokio::test]
async fn suspended_and_unpaid_tenants_run_their_jobs_afterwards() {
    for (stop, reason, start) in [
        ("suspension = 'full'", "suspended", "suspension = 'none'"),
        ("suspension = 'read_only'", "suspended", "suspension = 'none'"),
        ("subscription_status = 'unpaid'", "payment_required", "subscription_status = 'active'"),
    ] {
        let world = World::new(4).await;
        let (tenant, _, ids) = enqueued(&world).await;
        world.set(tenant, stop).await;
        let waits = (JobStatus::Scheduled, reason);
        assert_eq!(outcomes(&world, ids).await, owned([waits, waits, waits]));
        assert!(world.notes().await.is_empty());
        assert_eq!(world.job(ids[0]).await.failures, 0);
        world.set(tenant, start).await;
        world.later().await;
        assert_eq!(outcomes(&world, ids).await, owned([DONE, DONE, DONE]), "{stop}");
    }
}

#[tokio::test]
async fn suspension_that_lasts_ends_its_jobs() {
    let world = World::new(4).await;
    let (tenant, _, ids) = enqueued(&world).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Tenant::suspend(&mut tx, tenant, Suspension::Full).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query("update mt.jobs set due_at = now() - interval '73 hours'")
        .execute(world.db.admin())
        .await
        .unwrap();
    let dead = (JobStatus::Dead, "suspended");
    assert_eq!(outcomes(&world, ids).await, owned([dead, dead, dead]));
}

#[tokio::test]
async fn bound_credential_stays_bound() {
    let world = World::new(4).await;
    let ada = world.user("ada").await;
    let [one, other] = [world.tenant(ada).await, world.tenant(ada).await];
    let job = world.enqueue(ada.bound_to(one), one, &note("bound", "")).await;
    // Moved by hand to another tenant of the same member, it is a stranger's there.
    sqlx::query("update mt.jobs set tenant_id = $1")
        .bind(other.as_uuid())
        .execute(world.db.admin())
        .await
        .unwrap();
    let (jobs, _) = world.jobs(hasty());
    assert!(jobs.run_next().await.unwrap());
    let job = world.job(job.id).await;
    assert_eq!(job.status, JobStatus::Dead);
    assert!(job.last_error.unwrap().starts_with("not_a_member"));
}

#[tokio::test]
async fn job_of_an_api_key_ends_with_the_key() {
    for (change, expected) in [
        ("select 1", (JobStatus::Done, "")),
        ("update mt.api_keys set revoked_at = now()", (JobStatus::Dead, "signed_out")),
        ("update mt.api_keys set permissions = '{notes.read}'", (JobStatus::Dead, "forbidden")),
    ] {
        let world = World::new(4).await;
        let ada = world.user("ada").await;
        let tenant = world.tenant(ada).await;
        let callers =
            KeyCallers::new("acme", TokenHasher::new(b"a secret of these tests, 32 bytes"));
        let texts = callers.create(&world.db, tenant, "of a job").await;
        let keys =
            world.database.api_keys("acme", TokenHasher::new(b"a secret of these tests, 32 bytes"));
        // The owner's key, that of a service account, and that of an account that acts on behalf of the owner.
        for text in texts {
            let key = keys.authenticate(&text).await.unwrap();
            let job = world.enqueue(key, tenant, &note("by key", "")).await;
            sqlx::query(change).execute(world.db.admin()).await.unwrap();
            let [found, ..] = outcomes(&world, [job.id; 3]).await;
            assert_eq!(found, (expected.0, expected.1.to_owned()), "{change}");
            let restored = "update mt.api_keys set revoked_at = null, permissions = null";
            sqlx::query(restored).execute(world.db.admin()).await.unwrap();
        }
    }
}

/// The row says `service`, the kind says `principal`: the job that was enqueued is not the one that would run.
#[tokio::test]
async fn job_enqueued_with_another_authority_is_dead() {
    let world = World::new(4).await;
    let (_, _, ids) = enqueued(&world).await;
    sqlx::query("update mt.jobs set kind = 'note' where kind = 'service-note'")
        .execute(world.db.admin())
        .await
        .unwrap();
    let found = outcomes(&world, ids).await;
    assert_eq!(found, owned([DONE, (JobStatus::Dead, "authority"), DONE]));
}

/// What a transaction of a tenant may not do, whatever SQL it runs: enqueue in another member's name, or in another tenant;
/// choose turn or status; put a job back.
#[tokio::test]
async fn tenant_adds_jobs_in_its_own_name_and_ends_them() {
    let world = World::new(4).await;
    let (tenant, editor, ids) = enqueued(&world).await;
    let owner = world.user("owner").await;
    let elsewhere = world.tenant(owner).await;
    let insert = |tenant: TenantId, by: Principal| {
        format!(
            "insert into mt.jobs (tenant_id, id, kind, payload, authority, principal_id, credential) \
             values ('{tenant}', gen_random_uuid(), 'note', '{{}}', 'principal', '{}', '{{}}')",
            by.id()
        )
    };
    let id = ids[0];
    for (sql, expected) in [
        (insert(tenant, editor), None),
        (insert(tenant, owner), Some("row-level security")),
        (insert(elsewhere, editor), Some("row-level security")),
        (format!("update mt.jobs set turn = -1 where id = '{id}'"), Some("permission denied")),
        (format!("update mt.jobs set payload = '1' where id = '{id}'"), Some("permission denied")),
        (
            format!("update mt.jobs set status = 'dead', done_at = now() where id = '{id}'"),
            Some("row-level security"),
        ),
        ("delete from mt.jobs".to_owned(), Some("permission denied")),
        ("select setval('mt.job_clock', 9)".to_owned(), Some("permission denied")),
        (
            format!(
                "insert into mt.jobs (tenant_id, id, kind, payload, authority, service, turn) \
                 values ('{tenant}', gen_random_uuid(), 'k', '{{}}', 'service', 's', -1)"
            ),
            Some("permission denied"),
        ),
        (
            format!("update mt.jobs set status = 'cancelled', done_at = now() where id = '{id}'"),
            None,
        ),
    ] {
        let request = AccessRequest::<NotesWrite>::new(editor, tenant);
        let mut tx = world.tenants.begin(request).await.unwrap();
        let run =
            sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(tx.query::<NotesWrite>()).await;
        match (run, expected) {
            (Ok(done), None) => assert_eq!(done.rows_affected(), 1, "{sql}"),
            (Err(error), Some(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{sql}: {error}");
            }
            (run, _) => panic!("{sql}: {run:?}"),
        }
        tx.rollback().await.unwrap();
    }
}
