//! Jobs of kinds that no server runs, in every status.

use uuid::Uuid;

use super::Server;

/// Jobs of the kind `report`, oldest first.
pub(crate) struct Planted {
    /// The org of all but `done`.
    pub(crate) org: Uuid,
    pub(crate) scheduled: Uuid,
    pub(crate) ready: Uuid,
    pub(crate) dead: Uuid,
    pub(crate) running: Uuid,
    pub(crate) done: Uuid,
}

/// Adds the jobs to the database of a server, in two orgs.
pub(crate) async fn plant(server: &Server) -> Planted {
    let owner = server.sign_in("owner").await;
    let (org, other) = (server.org(&owner).await, server.org(&owner).await);
    let id = |path: &str| path.rsplit('/').next().unwrap().parse::<Uuid>().unwrap();
    let (org, other) = (id(&org), id(&other));
    let add = async |org: Uuid, wait: &str, then: &str| {
        let job = Uuid::now_v7();
        let added = format!(
            "insert into mt.jobs (tenant_id, id, kind, payload, run_at, authority, service) \
             values ('{org}', '{job}', 'report', '{{\"secret\": \"the payload\"}}', \
                 now() + interval '{wait}', 'service', 'planter')"
        );
        server.sql(&added).await;
        if !then.is_empty() {
            server.sql(&format!("update mt.jobs set {then} where id = '{job}'")).await;
        }
        job
    };
    Planted {
        org,
        scheduled: add(org, "1 hour", "").await,
        ready: add(org, "0", "").await,
        dead: add(org, "0", "status = 'dead', done_at = now(), last_error = 'broken: it is'").await,
        running: add(
            org,
            "0",
            "status = 'running', attempts = 1, started_at = now(), lease_token = gen_random_uuid(), \
             lease_until = now() + interval '1 hour', progress_done = 3, progress_total = 7",
        )
        .await,
        done: add(other, "0", "status = 'done', done_at = now()").await,
    }
}
