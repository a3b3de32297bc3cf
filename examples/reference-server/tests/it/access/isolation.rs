//! Isolation over HTTP: every stored field holds a canary, and members of other orgs call every route with
//! every mix of ids. Once as the server is, once without row-level security, and once with the tenant
//! condition removed from the statements.
//!
//! Either line alone has to keep the orgs apart, because each is there for the day on which the other
//! is forgotten.

use std::sync::Arc;

use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::id::{PrincipalId, TenantId};
use mt_core::testing::isolation::{
    Findings, Harness, KeyCallers, Route, TenantFixture, TestRequest, TestResponse, check_tables,
};
use mt_core::testing::{Relay, TestDatabase};
use mt_core::token::TokenHasher;
use reference_server::schema;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::access::matrix::EXEMPT;
use crate::support::{Server, secret};

/// Returns a valid body for a writing route, with ids of the caller or of the other org.
fn body(operation: &str) -> Option<Value> {
    Some(match operation {
        "POST /orgs"
        | "PATCH /orgs/{tenant}"
        | "POST /orgs/{tenant}/projects"
        | "PATCH /orgs/{tenant}/projects/{project_id}"
        | "PATCH /orgs/{tenant}/roles/{role_id}" => json!({"name": "x"}),
        "POST /orgs/{tenant}/api-keys" => {
            json!({"name": "x", "service_account_id": "{account_id}"})
        }
        "PATCH /orgs/{tenant}/api-keys/{key_id}" => json!({"permissions": ["tasks.read"]}),
        "POST /orgs/{tenant}/api-keys/{key_id}/rotate" => json!({"overlap_hours": 1}),
        "POST /orgs/{tenant}/service-accounts" => json!({"name": "x", "role": "member"}),
        "PATCH /orgs/{tenant}/service-accounts/{account_id}"
        | "PATCH /orgs/{tenant}/members/{user_id}" => json!({"role": "admin"}),
        "POST /orgs/{tenant}/roles" => {
            json!({"name": "x", "based_on": "member", "permissions": ["audit.read"]})
        }
        "POST /orgs/{tenant}/invites" => {
            // Asked for a second time, so that it takes no further seat.
            json!({"email": "{guest}", "role": "member"})
        }
        "POST /orgs/{tenant}/projects/{project_id}/tasks"
        | "PATCH /orgs/{tenant}/tasks/{task_id}" => {
            json!({"title": "x", "assigned_to": "{user_id}"})
        }
        "POST /invites/accept" => json!({"token": "x"}),
        _ => return None,
    })
}

/// Every route of the server, as the checks take them.
fn routes(server: &Server) -> Vec<Route> {
    let route = |(method, path): &(String, String)| {
        let operation = format!("{method} {path}");
        let path = path.replace("{org_id}", "{tenant}");
        let mut route = Route::new(method, &path);
        if let Some(body) = body(&format!("{method} {path}")) {
            route = route.json(body);
        }
        // What is the caller's own shows the caller's own address and orgs.
        let shows_own = ["GET /me", "GET /orgs"].contains(&operation.as_str());
        match EXEMPT.iter().find(|(of, _)| *of == operation && !shows_own) {
            Some((_, reason)) => route.exempt(reason),
            None if operation == "POST /orgs/{org_id}/billing/customer" => {
                route.silent("the org has a customer, who is not made twice")
            }
            None if operation == "POST /orgs/{org_id}/billing/portal" => {
                route.silent("a page of the provider's")
            }
            None => route,
        }
    };
    server.operations.iter().map(route).collect()
}

/// A server with settings under which the tests can issue tokens.
struct Checked {
    server: Server,
    tokens: JwtAuthenticator,
    secret: String,
}

impl Checked {
    async fn start(db: TestDatabase, settings: &[(&str, &str)]) -> Self {
        let secret = secret();
        let key = JwtKey::hs256(&secret).unwrap();
        let tokens = JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap();
        let all = [&[("JWT_SECRET", secret.as_str())], settings].concat();
        let server = Server::start_on(Arc::new(db), &all).await;
        Self { server, tokens, secret }
    }

    async fn new() -> Self {
        Self::start(TestDatabase::create_with(&[schema::product()]).await.unwrap(), &[]).await
    }

    /// An org with a member of each role and something of everything, its canary in each text.
    async fn seed(&self, canary: String) -> TenantFixture {
        let org = TenantId::generate();
        let [owner, admin, member] = [(); 3].map(|()| PrincipalId::generate());
        let [project, task, invite, entry, role] = [(); 5].map(|()| Uuid::now_v7());
        let [account, key] = [(); 2].map(|()| Uuid::now_v7());
        let sql = format!(
            "insert into mt.users (id, email) values \
                 ('{owner}', 'owner-{canary}@example.org'), \
                 ('{admin}', 'admin-{canary}@example.org'), \
                 ('{member}', 'member-{canary}@example.org'); \
             insert into mt.tenants (id, name) values ('{org}', '{canary}'); \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) values \
                 ('{org}', '{owner}', 'owner', true), ('{org}', '{admin}', 'admin', false), \
                 ('{org}', '{member}', 'member', false); \
             insert into app.projects (tenant_id, id, name) values ('{org}', '{project}', '{canary}'); \
             insert into app.tasks \
                     (tenant_id, id, project_id, title, description, created_by, assigned_to) \
                 values ('{org}', '{task}', '{project}', '{canary}', '{canary}', '{owner}', '{member}'); \
             insert into mt.roles (tenant_id, id, name, based_on, permissions) \
                 values ('{org}', '{role}', '{canary}', 'member', array['org.read']); \
             insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at) \
                 values ('{org}', '{invite}', 'guest-{canary}@example.org', 'member', \
                     sha256('{canary}'), '{owner}', now() + interval '1 day'); \
             insert into mt.billing_customers (tenant_id, provider, customer_id) \
                 values ('{org}', 'stripe', 'cus_{canary}'); \
             insert into mt.audit_log (tenant_id, id, actor_kind, actor_name, action, target_kind) \
                 values ('{org}', '{entry}', 'operator', '{canary}', 'tenant.created', 'tenant'); \
             insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
                 values ('{org}', '{account}', '{canary}', 'member', '{owner}'); \
             insert into mt.api_keys (tenant_id, id, service_account_id, name, digest, hint, series, created_by) \
                 values ('{org}', '{key}', '{account}', '{canary}', sha256('{canary}'), 'mt_abcd', '{key}', '{owner}')"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.server.db.admin()).await.unwrap();
        let token = |principal| self.tokens.issue(principal, 0).unwrap().token;
        TenantFixture::new(org)
            .member("owner", token(owner))
            .member("admin", token(admin))
            .member("member", token(member))
            .id("project_id", project)
            .id("task_id", task)
            .id("invite_id", invite)
            .id("role_id", role)
            .id("guest", format!("guest-{canary}@example.org"))
            .id("user_id", member)
            .id("account_id", account)
            .id("key_id", key)
    }

    async fn send(&self, call: TestRequest) -> TestResponse {
        let method: Method = call.method.parse().unwrap();
        let body = call.body.map(String::into_bytes);
        let answer = self.server.send_headers(method, &call.path, &call.headers, body).await;
        let headers = answer.headers.iter();
        TestResponse {
            status: answer.status,
            headers: headers
                .map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()))
                .collect(),
            body: answer.text.into_bytes(),
        }
    }

    fn world(
        &self,
    ) -> Harness<
        '_,
        impl AsyncFn(String) -> TenantFixture + '_,
        impl AsyncFn(TestRequest) -> TestResponse + '_,
    > {
        let seed = async |canary| self.seed(canary).await;
        Harness::new(&self.server.db, seed, async |call| self.send(call).await)
            .ignoring("x-request-id")
            .ignoring("request_id")
            // A worker sends the mails of invites and changes their rows.
            .ignoring("mt.outbox")
            .with_api_keys(KeyCallers::new("mt", TokenHasher::new(self.secret.as_bytes())))
            .serving(self.server.operations.clone())
    }

    async fn isolation(&self) -> Findings {
        self.world().check(routes(&self.server)).await
    }
}

/// Takes the first line away: what the statements say of the tenant.
fn without_the_tenant(sql: &str) -> Option<String> {
    // The statements that open a transaction and the library's locks are not product queries: they name the tenant
    // of the transaction. But one message may hold both kinds.
    let is_opening = sql.starts_with("begin");
    let of_lists = [
        "from app.",
        "from mt.audit_log e",
        "from mt.invites",
        "from mt.memberships m join mt.users",
        "from mt.service_accounts where",
        "from mt.api_keys where tenant_id = $1 and ($2",
    ];
    let statements = sql.split("; ").map(|statement| {
        let is_product = !is_opening || of_lists.iter().any(|list| statement.contains(list));
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
    for alias in ["p", "c", "e", "m", "t", "u", "i", "k"] {
        changed = changed.replace(&format!("{alias}.$"), "$");
    }
    changed
}

/// A server whose statements lose their tenant.
async fn without_the_tenant_in_statements() -> (Relay, Checked) {
    let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let relay = Relay::rewriting(&db.login(), without_the_tenant).await.unwrap();
    let url = relay.url_through(db.login());
    let checked = Checked::start(db, &[("DATABASE_URL", &url)]).await;
    (relay, checked)
}

#[tokio::test]
async fn nothing_leaks_through_any_route_or_table() {
    let checked = Checked::new().await;
    checked.isolation().await.assert_none();
    let [a, b] = [checked.seed("a".to_owned()).await, checked.seed("b".to_owned()).await];
    check_tables(&checked.server.db, a.tenant(), b.tenant()).await.assert_none();
    checked.server.stop().await;
}

#[tokio::test]
async fn nothing_leaks_with_row_level_security_off() {
    let checked = Checked::new().await;
    let world = checked.world();
    world.without_policies().check(routes(&checked.server)).await.assert_none();
    drop(world);
    checked.server.stop().await;
}

/// Which tables each role writes by each route, as `access/writes.txt` has it.
#[tokio::test]
async fn each_role_writes_the_tables_of_the_committed_list() {
    let checked = Checked::new().await;
    checked.world().matrix(routes(&checked.server)).await.assert_file("tests/it/access/writes.txt");
    checked.server.stop().await;
}

#[tokio::test]
async fn nothing_leaks_with_the_tenant_taken_out_of_the_statements() {
    let (relay, checked) = without_the_tenant_in_statements().await;
    checked.isolation().await.assert_none();
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
    checked.server.stop().await;
}

/// The control: with both lines gone everything shows, so the traffic above can fail.
#[tokio::test]
async fn without_both_lines_of_defence_tenants_leak() {
    let (_relay, checked) = without_the_tenant_in_statements().await;
    let world = checked.world();
    let findings = world.without_policies().check(routes(&checked.server)).await.to_string();
    assert!(findings.contains("the response holds A's canary"), "{findings}");
    assert!(findings.contains("the data of"), "{findings}");
    drop(world);
    checked.server.stop().await;
}
