//! Attacks with many requests, each of which is allowed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Attack, AttackRun, Victim, Without};

/// Between two requests of one client: twenty clients then ask some two thousand times a second at most.
const PAUSE: Duration = Duration::from_millis(10);
const CLIENTS: usize = 20;

/// A principal's share outside of orgs cannot be switched off: it is four connections then, and not one.
const MANY_CONNECTIONS: &[(&str, &str)] = &[("DATABASE_MAX_CONNECTIONS", "64")];

/// Without the shares of the connections.
const NO_SHARES: Without = Without::Settings(&[("ORG_MAX_IN_FLIGHT", "0")]);

pub(super) fn all() -> Vec<Attack> {
    vec![
        Attack {
            name: "a user of 10 000 orgs lists them",
            is_short: true,
            settings: &[],
            without: Without::Both(MANY_CONNECTIONS, WHOLE_LISTS),
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(many_orgs(run)),
        },
        Attack {
            name: "a signed-in stranger asks for orgs at random",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(async move { run.flood(CLIENTS, PAUSE, strange).await }),
        },
        Attack {
            name: "a stranger asks for sign-in links",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(async move { run.flood(CLIENTS, PAUSE, link).await }),
        },
        Attack {
            name: "an owner invites strangers and takes it back",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::AnotherOrg,
            start: |run| Box::pin(async move { run.flood(CLIENTS, PAUSE, invite).await }),
        },
        Attack {
            name: "a member sends one request twenty times at once under one key",
            is_short: false,
            settings: &[],
            without: Without::Elsewhere,
            beside: Victim::TheSameOrg,
            start: |run| Box::pin(async move { run.flood(CLIENTS, PAUSE, repeated).await }),
        },
        Attack {
            name: "a member changes one task from twenty connections",
            is_short: false,
            settings: &[],
            without: NO_SHARES,
            beside: Victim::TheSameOrg,
            start: |run| Box::pin(one_task(run)),
        },
    ]
}

/// The policies that look at the whole list for each page of it.
const WHOLE_LISTS: &str = "alter policy own on mt.tenants using ( \
    (select nullif(current_setting('mt.tenant_id', true), '')) is null \
    and id in (select m.tenant_id from mt.memberships m where m.principal_id \
        = (select nullif(current_setting('mt.principal_id', true), '')::uuid)))";

async fn many_orgs(run: AttackRun) {
    let id = &run.by.id;
    run
        .setup
        .sql(&format!(
            "with made as (insert into mt.tenants (id, name) \
                 select gen_random_uuid(), 'One of many' from generate_series(1, 10000) returning id) \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select id, '{id}', 'owner', true from made; \
             analyze mt.tenants, mt.memberships"
        ))
        .await;
    run.flood(CLIENTS, PAUSE, |run, client, _| async move {
        let path = ["/me", "/orgs?limit=100"][client % 2];
        run.setup.send(Method::GET, path, &run.by.token, None).await;
    })
    .await;
}

async fn strange(run: AttackRun, _: usize, _: usize) {
    let path = format!("/orgs/{}/projects", uuid::Uuid::now_v7());
    run.setup.send(Method::GET, &path, &run.by.token, None).await;
}

async fn link(run: AttackRun, client: usize, round: usize) {
    let email = json!({"email": format!("victim-{client}-{round}@example.org")});
    run.setup.send(Method::POST, "/auth/request-link", "", Some(email)).await;
}

async fn invite(run: AttackRun, client: usize, round: usize) {
    let (setup, by) = (&run.setup, &run.by);
    let invites = format!("{}/invites", by.org.path);
    let body = json!({"email": format!("guest-{client}-{round}@example.org"), "role": "member"});
    let (_, made) = setup.send(Method::POST, &invites, &by.token, Some(body)).await;
    if let Value::String(id) = &made["id"] {
        let one = format!("{invites}/{id}");
        setup.send(Method::DELETE, &one, &by.token, None).await;
    }
}

async fn repeated(run: AttackRun, _: usize, round: usize) {
    let (setup, by) = (&run.setup, &run.by);
    let url = format!("{}{}", setup.base_url(), by.org.tasks);
    let request = setup.http.post(url).bearer_auth(&by.token).json(&json!({"title": "Once"}));
    let _ = request.header("idempotency-key", format!("round-{round}")).send().await;
}

async fn one_task(run: AttackRun) {
    let (setup, by) = (&run.setup, &run.by);
    let title = Some(json!({"title": "The one"}));
    setup.send(Method::POST, &by.org.tasks, &by.token, title).await;
    run.flood(CLIENTS, PAUSE, |run, client, _| async move {
        let (setup, by) = (&run.setup, &run.by);
        let (_, page) = setup.send(Method::GET, &by.org.tasks, &by.token, None).await;
        let Some(id) = page["items"][0]["id"].as_str() else { return };
        let change = json!({"description": format!("{client}").repeat(5000)});
        let path = format!("{}/tasks/{id}", by.org.path);
        setup.send(Method::PATCH, &path, &by.token, Some(change)).await;
    })
    .await;
}
