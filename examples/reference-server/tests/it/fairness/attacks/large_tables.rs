//! Attacks with very many rows.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::super::setup::ADMIN;
use super::{Attack, AttackRun, Victim, Without};

const PAUSE: Duration = Duration::from_millis(10);

pub(super) fn all() -> Vec<Attack> {
    vec![
        Attack {
            name: "an org of 20 000 members is suspended, and the suspension ended, again and again",
            is_short: true,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(suspensions(run)),
        },
        Attack {
            name: "an admin reads the members and the audit log of an org of 20 000",
            is_short: false,
            settings: &[],
            without: Without::Sql(WHOLE_LISTS),
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(long_lists(run)),
        },
        Attack {
            name: "an owner makes projects at the cap of the plan from twenty connections",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(at_the_cap(run)),
        },
    ]
}

/// The policy that Postgres may turn into a hash of all members.
const WHOLE_LISTS: &str = "alter policy fellow on mt.users using (exists (select 1 from mt.memberships m \
    where m.tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid) \
        and m.principal_id = users.id))";

async fn crowd(run: &AttackRun) {
    let org = run.by.org.path.trim_start_matches("/orgs/");
    run
        .setup
        .sql(&format!(
            "with people as (insert into mt.users (id, email) \
                 select id, id || '@example.org' from \
                     (select gen_random_uuid() as id from generate_series(1, 20000)) ids returning id), \
             members as (insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select '{org}', id, 'member', false from people) \
             insert into mt.audit_log (tenant_id, id, actor_kind, actor_id, action, target_kind) \
                 select '{org}', id, 'user', id, 'member.joined', 'member' from people; \
             analyze mt.users, mt.memberships, mt.audit_log"
        ))
        .await;
}

async fn suspensions(run: AttackRun) {
    crowd(&run).await;
    run.flood(2, PAUSE, |run, client, round| async move {
        let mode = ["none", "full", "read_only"][(client + round) % 3];
        let path = format!("/admin{}/suspension", run.by.org.path);
        run.setup.send(Method::POST, &path, ADMIN, Some(json!({"mode": mode}))).await;
    })
    .await;
}

async fn long_lists(run: AttackRun) {
    crowd(&run).await;
    run.flood(20, PAUSE, |run, client, _| async move {
        let list = ["members", "audit", "audit?action=member.joined", "invites"][client % 4];
        let joint = if list.contains('?') { '&' } else { '?' };
        let path = format!("{}/{list}{joint}limit=100", run.by.org.path);
        run.setup.send(Method::GET, &path, &run.by.token, None).await;
    })
    .await;
}

async fn at_the_cap(run: AttackRun) {
    let org = run.by.org.path.trim_start_matches("/orgs/");
    run.setup.sql(&format!("update mt.tenants set plan = 'free' where id = '{org}'")).await;
    run.flood(20, PAUSE, |run, _, _| async move {
        let path = format!("{}/projects", run.by.org.path);
        let body = Some(json!({"name": "One more"}));
        run.setup.send(Method::POST, &path, &run.by.token, body).await;
    })
    .await;
}
