//! The list of a user's orgs, and the limit of owned orgs.

use mt_core::testing::Relay;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::task::JoinSet;

use crate::database::round_trips::{overheard, without_the_worker};
use crate::support::{Person, Server, problem};

/// More orgs of `owner`'s, with a project in each.
async fn more_orgs(server: &Server, owner: &Person, orgs: u32) {
    let id = &owner.id;
    server
        .sql(&format!(
            "with made as (insert into mt.tenants (id, name) \
                 select gen_random_uuid(), 'Another' from generate_series(1, {orgs}) returning id), \
             members as (insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select id, '{id}', 'owner', true from made) \
             insert into app.projects (tenant_id, id, name) select id, id, 'One' from made"
        ))
        .await;
}

/// More members of the org at `org`.
async fn more_members(server: &Server, org: &str, members: u32) {
    let org = org.trim_start_matches("/orgs/");
    server
        .sql(&format!(
            "with people as (insert into mt.users (id, email) \
                 select id, id || '@example.org' from \
                     (select gen_random_uuid() as id from generate_series(1, {members})) ids \
                 returning id) \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                 select '{org}', id, 'member', false from people"
        ))
        .await;
}

#[tokio::test]
async fn a_page_of_orgs_takes_as_many_round_trips_as_one_org() {
    let (relay, server) = overheard(&[]).await;
    let owner = server.sign_in("owner").await;
    server.org(&owner).await;
    let mut counted = Vec::new();
    for (more, listed) in [(0, 1), (99, 100), (50, 100)] {
        more_orgs(&server, &owner, more).await;
        for round in ["cold", "warm"] {
            drop(relay.take_round_trips());
            let page = server.get("/orgs?limit=100", &owner).await;
            assert_eq!(page.status, 200, "{round}: {page:?}");
            let page = page.json();
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), listed, "{round}");
            assert_eq!(page["next_cursor"].is_string(), more == 50, "{round}");
            let projects = |org: &Value| org["usage"]["projects"]["used"].as_u64().unwrap();
            let other = u64::from(more == 0);
            assert_eq!(projects(&items[0]), 1 - other, "of its own org");
        }
        counted.push(without_the_worker(relay.take_round_trips(), &owner.id).len());
    }
    // Opening, list and commit; and one for all that is counted.
    assert_eq!(counted, [4, 4, 4]);

    drop(relay.take_round_trips());
    let me = server.get("/me", &owner).await.json();
    assert_eq!(me["memberships"].as_array().unwrap().len(), 150);
    assert_eq!(without_the_worker(relay.take_round_trips(), &owner.id).len(), 4);
    server.stop().await;
}

/// The statement that `path` makes the server say which holds `part`.
async fn said(relay: &Relay, server: &Server, who: &Person, path: &str, part: &str) -> String {
    drop(relay.take_round_trips());
    assert_eq!(server.get(path, who).await.status, 200);
    let trips = relay.take_round_trips();
    let mut statements = trips.iter().flat_map(|trip| trip.split("; "));
    let statement = statements.find(|statement| statement.contains(part));
    let statement = statement.unwrap_or_else(|| panic!("{path}: {trips:#?}"));
    // In a batch it is prepared: `prepare NAME(TYPES) as STATEMENT`.
    match statement.strip_prefix("prepare ") {
        Some(prepared) => prepared.split_once(" as ").expect("a statement").1.to_owned(),
        None => statement.to_owned(),
    }
}

/// How many rows a plan handles, in each of its nodes.
fn rows(node: &Value) -> u64 {
    let number = |name: &str| node[name].as_u64().unwrap_or(0);
    let removed = number("Rows Removed by Filter") + number("Actual Rows");
    let below = node["Plans"].as_array().into_iter().flatten().map(rows).sum::<u64>();
    removed * number("Actual Loops") + below
}

/// How many rows Postgres handles for a statement, in a transaction of `principal`'s in `tenant`.
async fn handled(
    server: &Server,
    (tenant, principal): (&str, &str),
    sql: &str,
    values: &str,
) -> u64 {
    let mut conn = server.db.admin().acquire().await.unwrap();
    let fixture = format!(
        "begin; set local plan_cache_mode = force_generic_plan; \
         call mt.seal('{tenant}', '{principal}', ''); set local role mt_app; prepare page as {sql}"
    );
    conn.execute(sqlx::raw_sql(AssertSqlSafe(fixture))).await.unwrap();
    let explain = format!("explain (analyze, format json) execute page({values})");
    let said: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    conn.execute("rollback; deallocate page").await.unwrap();
    rows(&said[0]["Plan"])
}

#[tokio::test]
async fn page_of_a_long_list_costs_the_same() {
    let (relay, server) = overheard(&[]).await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let tenant = org.trim_start_matches("/orgs/");
    let orgs = said(&relay, &server, &owner, "/orgs", "select t.id, t.name").await;
    let members = format!("{org}/members");
    let members = said(&relay, &server, &owner, &members, "select m.principal_id, u.email").await;
    let pages = [
        ("orgs", ("", owner.id.as_str()), orgs, format!("'{}', null, 51, null", owner.id)),
        ("members", (tenant, owner.id.as_str()), members, format!("'{tenant}', null, null, 51")),
    ];
    let costs = async || {
        server.sql("vacuum analyze").await;
        let mut costs = Vec::new();
        for (_, fixture, sql, values) in &pages {
            costs.push(handled(&server, *fixture, sql, values).await);
        }
        costs
    };
    more_orgs(&server, &owner, 100).await;
    more_members(&server, &org, 100).await;
    let short = costs().await;
    more_orgs(&server, &owner, 5000).await;
    more_members(&server, &org, 5000).await;
    let long = costs().await;
    for (page, (short, long)) in pages.iter().zip(short.iter().zip(&long)) {
        assert!(long <= short, "{}: {short} rows, and {long} of a long list", page.0);
    }

    // The control: the policies that ask for the whole list each time.
    server
        .sql(
            "alter policy own on mt.tenants using ( \
                 (select nullif(current_setting('mt.tenant_id', true), '')) is null \
                 and id in (select m.tenant_id from mt.memberships m where m.principal_id \
                     = (select nullif(current_setting('mt.principal_id', true), '')::uuid)))",
        )
        .await;
    let spoilt = costs().await;
    assert!(spoilt[0] > 5000, "{spoilt:?} beside {short:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owned_orgs_are_limited_per_user() {
    let server = std::sync::Arc::new(Server::start_with(&[("USER_MAX_ORGS", "3")]).await);
    let (owner, other) = (server.sign_in("owner").await, server.sign_in("other").await);
    let mut making = JoinSet::new();
    for number in 0..8 {
        let (server, owner) = (std::sync::Arc::clone(&server), owner.clone());
        making.spawn(async move {
            server.post("/orgs", &owner, json!({"name": format!("Org {number}")})).await
        });
    }
    let answers = making.join_all().await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 3, "{answers:#?}");
    let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert_eq!(refused.outcome(), problem(402, "cap-reached"));
    assert_eq!((&refused.json()["resource"], &refused.json()["cap"]), (&json!("orgs"), &json!(3)));
    // Orgs of others count for them, also where this user is a member.
    let theirs = server.org(&other).await;
    server.join(&theirs, &other, &owner, "admin").await;
    let own = format!("/orgs/{}", made[0].json()["id"].as_str().unwrap());
    assert_eq!(server.delete(&own, &owner).await.status, 204);
    server.org(&owner).await;
    let again =
        server.send(Method::POST, "/orgs", Some(&owner.token), Some(json!({"name": "One more"})));
    assert_eq!(again.await.outcome(), problem(402, "cap-reached"));
}
