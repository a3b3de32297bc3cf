//! Two orgs, one with a canary in everything that it stores, and the other trying every route with
//! every mix of ids: as the server is, with row-level security off, and with the tenant taken out of
//! its statements.
//!
//! Either line alone has to keep the orgs apart, because each is there for the day on which the other
//! is forgotten.

use std::sync::Arc;

use mt_core::id::TenantId;
use mt_core::testing::isolation::{Answer, Call, Findings, Party, Routes, check_tables};
use mt_core::testing::{Relay, TestDatabase};
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Server};

/// What each writing route is sent: something that it would take, with the caller's or the other's
/// ids where ids go.
const BODIES: [(&str, &str); 13] = [
    ("PATCH /orgs/{tenant}", r#"{"name":"x"}"#),
    ("PATCH /orgs/{tenant}/members/{user_id}", r#"{"role":"member"}"#),
    ("POST /orgs/{tenant}/invites", r#"{"email":"new@example.org","role":"member"}"#),
    ("POST /orgs/{tenant}/projects", r#"{"name":"x"}"#),
    ("PATCH /orgs/{tenant}/projects/{project_id}", r#"{"name":"x"}"#),
    (
        "POST /orgs/{tenant}/projects/{project_id}/tasks",
        r#"{"title":"x","assigned_to":"{user_id}"}"#,
    ),
    ("PATCH /orgs/{tenant}/tasks/{task_id}", r#"{"title":"x","assigned_to":"{user_id}"}"#),
    ("POST /invites/accept", r#"{"token":"x"}"#),
    ("POST /orgs", r#"{"name":"x"}"#),
    ("POST /orgs/{tenant}/billing/checkout", ""),
    ("POST /orgs/{tenant}/billing/customer", ""),
    ("POST /orgs/{tenant}/billing/portal", ""),
    ("POST /orgs/{tenant}/export", ""),
];

/// Every route of the server, as the checks take them.
fn routes(server: &Server) -> Routes {
    let mut routes = Routes::new().ignoring_header("x-request-id").ignoring_member("request_id");
    for (method, path) in &server.operations {
        let path = path.replace("{org_id}", "{tenant}");
        let operation = format!("{method} {path}");
        let body = BODIES.iter().find(|(of, _)| *of == operation).map(|(_, body)| *body);
        let method = ["DELETE", "GET", "PATCH", "POST"]
            .into_iter()
            .find(|name| name == method)
            .expect("a method that the checks know");
        let needs_a_body = matches!(method, "PATCH" | "POST") && path.starts_with("/orgs");
        assert!(body.is_some() || !needs_a_body, "{operation} needs a body here");
        routes = routes.route(method, path, body.filter(|body| !body.is_empty()));
    }
    routes
}

/// An org with somebody of each role, on the paid plan, with something of everything, its canary in
/// each text.
async fn party(server: &Server, name: &str) -> Party {
    let people: [Person; 3] = [
        server.sign_in(&format!("{name}-owner")).await,
        server.sign_in(&format!("{name}-admin")).await,
        server.sign_in(&format!("{name}-member")).await,
    ];
    let [owner, admin, member] = &people;
    let org = server.org(owner).await;
    let id = TenantId::parse(org.rsplit('/').next().unwrap()).unwrap();
    server.sql(&format!("update mt.tenants set plan = 'pro' where id = '{id}'")).await;
    let party = Party::new(id);
    let canary = party.canary().to_owned();
    let renamed = server.patch(&org, owner, json!({"name": canary})).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    server.join(&org, owner, admin, "admin").await;
    server.join(&org, owner, member, "member").await;
    let project = server.make(&format!("{org}/projects"), owner, json!({"name": canary})).await;
    let tasks = format!("{org}/projects/{project}/tasks");
    let task = json!({"title": canary, "description": canary, "assigned_to": member.id});
    let task = server.make(&tasks, owner, task).await;
    let email = format!("{}@example.org", canary.to_lowercase());
    let invites = format!("{org}/invites");
    let invite = server.make(&invites, owner, json!({"email": email, "role": "member"})).await;
    let customer = server.post(&format!("{org}/billing/customer"), owner, Value::Null).await;
    assert_eq!(customer.status, 200, "{customer:?}");
    let uuid = |id: &str| id.parse().unwrap();
    party
        .person("owner", &owner.token)
        .person("admin", &admin.token)
        .person("member", &member.token)
        .id("project_id", uuid(&project))
        .id("task_id", uuid(&task))
        .id("invite_id", uuid(&invite))
        .id("user_id", uuid(&member.id))
}

async fn send(server: &Server, call: Call) -> Answer {
    let method: Method = call.method.parse().unwrap();
    let body = call.body.map(|body| serde_json::from_str(&body).unwrap());
    let answer = server.send(method, &call.path, Some(&call.bearer), body).await;
    let headers = answer.headers.iter();
    Answer {
        status: answer.status,
        headers: headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect(),
        body: answer.text.into_bytes(),
    }
}

async fn canary_traffic(server: &Server, [a, b]: &[Party; 2]) -> Findings {
    routes(server).check(&server.db, a, b, async |call| send(server, call).await).await
}

async fn two_parties(server: &Server) -> [Party; 2] {
    [party(server, "a").await, party(server, "b").await]
}

/// Takes the first line away: what the statements say of the tenant.
fn without_the_tenant(sql: &str) -> Option<String> {
    // Openings and the library's locks are no product queries: they say whose transaction it is. But one
    // message may hold both.
    let is_opening = sql.starts_with("begin");
    let statements = sql.split("; ").map(|statement| {
        let is_product = !is_opening || statement.contains("from app.");
        if is_product { unbound(statement) } else { statement.to_owned() }
    });
    let changed = statements.collect::<Vec<_>>().join("; ");
    (changed != sql).then_some(changed)
}

fn unbound(sql: &str) -> String {
    let mut changed = sql.replace("tenant_id = (select mt.tenant_id())", "true");
    for n in 1..=9 {
        changed = changed.replace(&format!("tenant_id = ${n}"), &format!("${n}::uuid is not null"));
        if sql.contains("mt.tenants") {
            changed = changed
                .replace(&format!("where id = ${n}"), &format!("where ${n}::uuid is not null"));
            changed = changed.replace(&format!("t.id = ${n}"), &format!("${n}::uuid is not null"));
        }
    }
    // `p.${n}…` is what is left of a qualified name.
    for alias in ["p", "c", "e", "m", "t", "u", "i"] {
        changed = changed.replace(&format!("{alias}.$"), "$");
    }
    changed
}

/// Takes the second line away.
async fn without_row_level_security(db: &TestDatabase) {
    let off = "do $$ declare t regclass; begin \
         for t in select oid from pg_class where relrowsecurity loop \
             execute format('alter table %s disable row level security, no force row level security', t); \
         end loop; end $$";
    sqlx::query(off).execute(db.admin()).await.unwrap();
}

/// A server whose statements have lost their tenant once `parties` are made.
async fn server_without_the_tenant() -> (Relay, Server, [Party; 2]) {
    let db = Arc::new(TestDatabase::create_with(&[schema::product()]).await.unwrap());
    let whole = Server::start_on(Arc::clone(&db), &[]).await;
    let parties = two_parties(&whole).await;
    whole.stop().await;
    let relay = Relay::rewriting(&db.login(), without_the_tenant).await.unwrap();
    let url = relay.url_through(db.login());
    let server = Server::start_on(db, &[("DATABASE_URL", &url)]).await;
    (relay, server, parties)
}

#[tokio::test]
async fn nothing_leaks_through_any_route_or_table() {
    let server = Server::start().await;
    let parties = two_parties(&server).await;
    canary_traffic(&server, &parties).await.assert_none();
    check_tables(&server.db, parties[0].tenant(), parties[1].tenant()).await.assert_none();
    server.stop().await;
}

#[tokio::test]
async fn nothing_leaks_with_row_level_security_off() {
    let server = Server::start().await;
    let parties = two_parties(&server).await;
    without_row_level_security(&server.db).await;
    canary_traffic(&server, &parties).await.assert_none();
    server.stop().await;
}

#[tokio::test]
async fn nothing_leaks_with_the_tenant_taken_out_of_the_statements() {
    let (relay, server, parties) = server_without_the_tenant().await;
    canary_traffic(&server, &parties).await.assert_none();
    let mut changed = relay.take_rewritten();
    changed.sort();
    changed.dedup();
    // Each kind of query on each table. (What is changed was found and held before, so that `update` is
    // never reached with a foreign id.)
    for statement in [
        "from app.projects where tenant_id = $1 and id < $2",
        "from app.projects where tenant_id = $1 and id = $2",
        "delete from app.projects",
        "from app.tasks where tenant_id = $1 and project_id = $2",
        "from app.tasks where tenant_id = $1 and id = $2",
        "delete from app.tasks",
        "from mt.memberships",
        "from mt.invites",
        "from mt.tenants",
        "from mt.audit_log",
    ] {
        let seen = changed.iter().any(|sql| sql.contains(statement));
        assert!(seen, "`{statement}` was never changed: {changed:#?}");
    }
    server.stop().await;
}

/// The control: with both lines gone everything shows, so the traffic above can fail.
#[tokio::test]
async fn everything_leaks_with_both_lines_gone() {
    let (_relay, server, parties) = server_without_the_tenant().await;
    without_row_level_security(&server.db).await;
    let findings = canary_traffic(&server, &parties).await.to_string();
    assert!(findings.contains("the answer holds A's canary"), "{findings}");
    assert!(findings.contains("what A has stored was changed"), "{findings}");
    server.stop().await;
}
