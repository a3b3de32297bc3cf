//! Jobs that another queue carries: authority is decided when they run, and their effect comes once.

use mt_core::pg::jobs::{EnvelopeKey, JobEnvelope, JobStatus};

use super::*;
use crate::support::Role;

fn key() -> EnvelopeKey {
    EnvelopeKey::new(b"the secret of this test")
}

/// The word that a failure begins with.
fn reason(failure: &Failure) -> String {
    format!("{failure:?}").split('"').nth(1).unwrap().to_owned()
}

impl World {
    /// Seals a job in a transaction of `by`, and returns what the queue carries.
    async fn seal<J>(&self, by: Principal, tenant: TenantId, job: &J) -> String
    where
        J: Job<Permission = NotesWrite>,
        J::Authority: EnqueuedBy<Access<Acme>>,
    {
        let request = AccessRequest::<NotesWrite>::new(by, tenant);
        let tx = self.tenants.begin(request).await.unwrap();
        let envelope = JobEnvelope::new(&tx, job, &key()).unwrap();
        tx.commit().await.unwrap();
        serde_json::to_string(&envelope).unwrap()
    }

    async fn deliver<J: Job<Permission = NotesWrite>>(&self, carried: &str) -> Result<bool, String>
    where
        Writer: JobHandler<J>,
    {
        let envelope: JobEnvelope = serde_json::from_str(carried).unwrap();
        let ran = envelope.run::<J, _>(&key(), &self.tenants, &Writer::default(), 1).await;
        ran.map_err(|error| match error {
            JobError::Dead(failure) => format!("dead: {}", reason(&failure)),
            JobError::Deferred(failure) => format!("deferred: {}", reason(&failure)),
            JobError::Failed(failure) => format!("failed: {}", reason(&failure)),
            other => panic!("{other:?}"),
        })
    }
}

#[tokio::test]
async fn delivered_twice_an_envelope_has_its_effect_once() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let carried = world.seal(owner, tenant, &note("one", "")).await;
    assert!(world.notes().await.is_empty());
    assert_eq!(world.deliver::<Note>(&carried).await, Ok(true));
    assert_eq!(world.deliver::<Note>(&carried).await, Ok(false));
    assert_eq!(world.notes().await, ["one"]);
    // Operators see it among the others.
    let (id, status): (uuid::Uuid, String) =
        sqlx::query_as("select id, status from mt.jobs").fetch_one(world.db.admin()).await.unwrap();
    assert_eq!(status, "done");
    assert_eq!(world.job(JobId::from_uuid(id)).await.status, JobStatus::Done);
    // The control: without the row, the second delivery has its effect.
    world.db.admin().execute("delete from mt.jobs").await.unwrap();
    assert_eq!(world.deliver::<Note>(&carried).await, Ok(true));
    assert_eq!(world.notes().await, ["one", "one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_to_many_workers_at_once_an_envelope_has_its_effect_once() {
    let world = World::new(8).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let carried = world.seal(owner, tenant, &note("one", "")).await;
    let deliveries = (0..8).map(|_| world.deliver::<Note>(&carried));
    let ran = futures_util::future::join_all(deliveries).await;
    assert_eq!(ran.iter().filter(|ran| **ran == Ok(true)).count(), 1, "{ran:?}");
    assert_eq!(world.notes().await, ["one"]);
}

#[tokio::test]
async fn attempt_that_fails_leaves_nothing_and_may_be_repeated() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    for (then, says) in
        [("fail", "failed: asked"), ("defer", "deferred: asked"), ("die", "dead: asked")]
    {
        let carried = world.seal(owner, tenant, &note("none", then)).await;
        for _ in 0..2 {
            assert_eq!(world.deliver::<Note>(&carried).await, Err(says.to_owned()));
        }
    }
    assert!(world.notes().await.is_empty());
    let rows: i64 = sqlx::query_scalar("select count(*) from mt.jobs")
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn authority_of_an_envelope_is_decided_when_it_runs() {
    for (case, reason) in ["not_a_member", "forbidden", "signed_out"].into_iter().enumerate() {
        let world = World::new(4).await;
        let owner = world.user("owner").await;
        let editor = world.user("editor").await;
        let tenant = world.tenant(owner).await;
        world.join(tenant, editor, Role::Editor).await;
        let early = world.seal(editor, tenant, &note("early", "")).await;
        let as_principal = world.seal(editor, tenant, &note("principal", "")).await;
        let as_service = world.seal(editor, tenant, &ServiceNote(note("service", ""))).await;
        let as_both = world.seal(editor, tenant, &BothNote(note("both", ""))).await;
        // The control: the same authority suffices before.
        assert_eq!(world.deliver::<Note>(&early).await, Ok(true));
        match case {
            0 => world.remove(tenant, editor).await,
            1 => world.demote(tenant, editor, Role::Viewer).await,
            _ => world.sign_out(editor).await,
        }
        let refused = Err(format!("dead: {reason}"));
        assert_eq!(world.deliver::<Note>(&as_principal).await, refused);
        assert_eq!(world.deliver::<BothNote>(&as_both).await, refused);
        assert_eq!(world.deliver::<ServiceNote>(&as_service).await, Ok(true));
        assert_eq!(world.notes().await, ["early", "service"]);
    }
}

#[tokio::test]
async fn suspended_tenant_defers_an_envelope() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let carried = world.seal(owner, tenant, &note("one", "")).await;
    world.set(tenant, "suspension = 'full'").await;
    assert_eq!(world.deliver::<Note>(&carried).await, Err("deferred: suspended".to_owned()));
    world.set(tenant, "suspension = 'none'").await;
    assert_eq!(world.deliver::<Note>(&carried).await, Ok(true));
}

#[tokio::test]
async fn envelope_that_was_changed_or_is_of_another_kind_does_not_run() {
    let world = World::new(4).await;
    let owner = world.user("owner").await;
    let viewer = world.user("viewer").await;
    let tenant = world.tenant(owner).await;
    world.join(tenant, viewer, Role::Editor).await;
    let carried = world.seal(viewer, tenant, &note("one", "")).await;
    world.demote(tenant, viewer, Role::Viewer).await;
    // Who can write to the queue would like to be the owner.
    let forged = carried.replace(&viewer.id().to_string(), &owner.id().to_string());
    assert_ne!(forged, carried);
    assert_eq!(world.deliver::<Note>(&forged).await, Err("dead: seal".to_owned()));
    let mut unsealed: serde_json::Value = serde_json::from_str(&forged).unwrap();
    unsealed["seal"] = "".into();
    assert_eq!(world.deliver::<Note>(&unsealed.to_string()).await, Err("dead: seal".to_owned()));
    // A job that may be done, under the permission of another kind.
    let other = world.seal(owner, tenant, &ServiceNote(note("one", ""))).await;
    assert_eq!(world.deliver::<Note>(&other).await, Err("dead: kind".to_owned()));
    assert!(world.notes().await.is_empty());
}
