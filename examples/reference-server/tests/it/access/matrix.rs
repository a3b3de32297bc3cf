//! Every operation of an org, by every kind of caller and in every state of the org. The answers are in
//! `access/matrix.txt`; `MT_BLESS=1` writes the file.
//!
//! Operations come from the router, so that a route that is missing from the file fails. Whatever is
//! refused has changed nothing, by a digest of all the org's rows before and after; whatever is
//! granted and writes has changed something, so that the digest is known to see changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use mt_core::id::TenantId;
use mt_core::testing::isolation::{KeyCallers, fingerprint};
use mt_core::token::{SecretToken, TokenHasher};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Person, Server};

const SECRET: &str = "the secret of the matrix, 32 bytes or more";

/// The operations outside of orgs. The list may get shorter; its length is fixed so that it cannot get longer.
pub(crate) const EXEMPT: [(&str, &str); 28] = [
    ("GET /health", "open"),
    ("GET /ready", "open"),
    ("GET /metrics", "open, or on an address of its own"),
    ("GET /openapi.json", "open"),
    ("GET /docs", "open"),
    ("GET /docs/{asset}", "open"),
    ("GET /problems/{code}", "open"),
    ("GET /auth/magic", "open, a page: `pages`"),
    ("GET /invites/accept", "open, a page: `pages`"),
    ("GET /billing", "open, a page: `pages`"),
    ("GET /dev/checkout/{session_id}", "open, a page: `pages`"),
    ("POST /auth/request-link", "open"),
    ("POST /auth/redeem", "open"),
    ("POST /webhooks/stripe", "signed, not signed in"),
    ("POST /dev/checkout/{session_id}", "open, and not in production: `checkout`"),
    ("POST /admin/orgs/{org_id}/suspension", "of operators: `lifecycle`"),
    ("GET /admin/jobs", "of operators: `admin_jobs`"),
    ("GET /admin/jobs/{job_id}", "of operators: `admin_jobs`"),
    ("POST /admin/jobs/{job_id}/cancel", "of operators: `admin_jobs`"),
    ("POST /admin/jobs/{job_id}/retry", "of operators: `admin_jobs`"),
    ("GET /admin/webhook-events", "of operators: `admin`"),
    ("GET /admin/webhook-events/{event_id}", "of operators: `admin`"),
    ("POST /admin/webhook-events/{event_id}/replay", "of operators: `admin`"),
    ("POST /auth/logout", "of the caller: `invalid_and_expired_tokens_get_401`"),
    ("GET /me", "of the caller: `invalid_and_expired_tokens_get_401`"),
    ("GET /orgs", "of the caller: `flow`"),
    ("POST /orgs", "of the caller: `flow`"),
    (
        "POST /invites/accept",
        "of the invited: `invites_are_bound_used_once_and_never_change_a_role`",
    ),
];

const CALLERS: [&str; 10] = [
    "anonymous",
    "bad token",
    "stranger",
    "removed",
    "member",
    "admin",
    "owner",
    "api key",
    "account",
    "agent",
];

/// States, with what makes them so.
const STATES: [(&str, &str); 5] = [
    ("none", "plan = 'free'"),
    ("active", "plan = 'pro', subscription_status = 'active'"),
    ("lapsed", "plan = 'pro', subscription_status = 'past_due', past_due_since = now()"),
    ("read-only", "plan = 'pro', subscription_status = 'active', suspension = 'read_only'"),
    ("suspended", "plan = 'pro', subscription_status = 'active', suspension = 'full'"),
];

/// A body that the operation would take.
pub(crate) fn body(operation: &str) -> Option<Value> {
    match operation {
        "PATCH /orgs/{org_id}"
        | "POST /orgs/{org_id}/projects"
        | "PATCH /orgs/{org_id}/projects/{project_id}"
        | "PATCH /orgs/{org_id}/roles/{role_id}"
        | "POST /orgs/{org_id}/api-keys" => Some(json!({"name": "Another"})),
        "PATCH /orgs/{org_id}/api-keys/{key_id}" => Some(json!({"permissions": ["tasks.read"]})),
        "POST /orgs/{org_id}/api-keys/{key_id}/rotate" => Some(json!({"overlap_hours": 1})),
        "POST /orgs/{org_id}/service-accounts" => {
            Some(json!({"name": "Another", "role": "member"}))
        }
        "PATCH /orgs/{org_id}/service-accounts/{account_id}"
        | "PATCH /orgs/{org_id}/members/{user_id}" => Some(json!({"role": "admin"})),
        "POST /orgs/{org_id}/roles" => {
            Some(json!({"name": "Auditor", "based_on": "member", "permissions": ["audit.read"]}))
        }
        // Asked for a second time, so that it takes no further seat.
        "POST /orgs/{org_id}/invites" => {
            Some(json!({"email": "guest@example.org", "role": "member"}))
        }
        "POST /orgs/{org_id}/projects/{project_id}/tasks"
        | "PATCH /orgs/{org_id}/tasks/{task_id}" => Some(json!({"title": "Another"})),
        _ => None,
    }
}

/// Users with a different role in each org.
pub(crate) struct Callers {
    pub(crate) server: Server,
    pub(crate) people: BTreeMap<&'static str, Person>,
}

impl Callers {
    pub(crate) async fn new() -> Self {
        // Events that have failed are tried again when a test says so.
        let settings = [("JWT_SECRET", SECRET), ("WEBHOOK_BACKOFF_MS", "3600000")];
        let server = Server::start_with(&settings).await;
        let mut people = BTreeMap::new();
        for name in ["stranger", "removed", "member", "admin", "owner"] {
            people.insert(name, server.sign_in(name).await);
        }
        Self { server, people }
    }

    /// The credential of a caller in an org.
    async fn token(&self, caller: &str, org: TenantId) -> Option<String> {
        if let Some(place) = KeyCallers::NAMES.iter().position(|name| *name == caller) {
            let callers = KeyCallers::new("mt", TokenHasher::new(SECRET.as_bytes()));
            return Some(
                callers.create(&self.server.db, org, "of the matrix").await[place].clone(),
            );
        }
        match caller {
            "anonymous" => None,
            "bad token" => Some("nonsense".to_owned()),
            name => Some(self.people[name].token.clone()),
        }
    }

    /// An org in a state, with an admin, a member, a project, a task of the owner's and an invite:
    /// where the path of an operation leads in it.
    pub(crate) async fn org(&self, state: &str, template: &str) -> (TenantId, String) {
        let id = |name: &str| &self.people[name].id;
        let org = TenantId::generate();
        let [project, task, invite, role] = [(); 4].map(|()| Uuid::now_v7());
        let (account, key) = (Uuid::now_v7(), Uuid::now_v7());
        let token = SecretToken::generate();
        let hash = TokenHasher::new(SECRET.as_bytes()).hash(token.reveal());
        let sql = format!(
            "insert into mt.tenants (id, name) values ('{org}', 'An org'); \
             update mt.tenants set {state} where id = '{org}'; \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) values \
                 ('{org}', '{owner}', 'owner', true), ('{org}', '{admin}', 'admin', false), \
                 ('{org}', '{member}', 'member', false), ('{org}', '{removed}', 'admin', false); \
             delete from mt.memberships where tenant_id = '{org}' and principal_id = '{removed}'; \
             insert into app.projects (tenant_id, id, name) values ('{org}', '{project}', 'P'); \
             insert into app.tasks (tenant_id, id, project_id, title, created_by) \
                 values ('{org}', '{task}', '{project}', 'T', '{owner}'); \
             insert into mt.roles (tenant_id, id, name, based_on, permissions) \
                 values ('{org}', '{role}', 'R', 'member', array['org.read']); \
             insert into mt.invites (tenant_id, id, email, role, token_hash, invited_by, expires_at) \
                 values ('{org}', '{invite}', 'guest@example.org', 'member', '\\x{hash}', '{owner}', \
                     now() + interval '1 day'); \
             insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
                 values ('{org}', '{account}', 'A', 'member', '{owner}'); \
             insert into mt.api_keys (tenant_id, id, service_account_id, name, digest, hint, series, created_by) \
                 values ('{org}', '{key}', '{account}', 'K', '\\x{hash}', 'mt_abcd', '{key}', '{owner}')",
            owner = id("owner"),
            admin = id("admin"),
            member = id("member"),
            removed = id("removed"),
            hash = hex::encode(hash.as_bytes()),
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self.server.db.admin()).await.unwrap();
        let path = template
            .replace("{org_id}", &org.to_string())
            .replace("{project_id}", &project.to_string())
            .replace("{task_id}", &task.to_string())
            .replace("{invite_id}", &invite.to_string())
            .replace("{account_id}", &account.to_string())
            .replace("{key_id}", &key.to_string())
            .replace("{role_id}", &role.to_string())
            .replace("{user_id}", id("member"));
        (org, path)
    }

    /// The answer to one cell, after checking what it has changed.
    async fn cell(&self, operation: &str, caller: &str, state: &str) -> String {
        let (method, template) = operation.split_once(' ').unwrap();
        let (org, path) = self.org(state, template).await;
        let token = self.token(caller, org).await;
        let before = fingerprint(&self.server.db, org).await;
        let method: Method = method.parse().unwrap();
        let answer =
            self.server.send(method.clone(), &path, token.as_deref(), body(operation)).await;
        let changed = fingerprint(&self.server.db, org).await != before;
        let writes = method != Method::GET;
        let granted = answer.status < 400;
        assert_eq!(changed, granted && writes, "{operation} by {caller} ({state}): {answer:?}");
        match answer.outcome() {
            (status, code) if code.is_empty() => status.to_string(),
            (404, _) => "404".to_owned(),
            (401, _) => "401".to_owned(),
            (status, code) => format!("{status} {code}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_the_answer_of_the_committed_matrix() {
    let callers = Arc::new(Callers::new().await);
    let all = callers.server.operations.iter().map(|(method, path)| format!("{method} {path}"));
    let (exempt, operations): (Vec<String>, Vec<String>) =
        all.partition(|operation| EXEMPT.iter().any(|(name, _)| name == operation));
    assert_eq!(exempt.len(), EXEMPT.len(), "an exemption that the router does not have can go");
    for operation in &operations {
        assert!(operation.contains(" /orgs/{org_id}"), "{operation} is below no org: say why");
        let bare = operation.contains("/billing/") || operation.ends_with("/export");
        let sends = operation.starts_with('P') && !bare;
        assert_eq!(body(operation).is_some(), sends, "{operation}");
    }

    let rows = operations.iter().flat_map(|operation| STATES.map(|state| (operation, state)));
    let lines = stream::iter(rows)
        .map(|(operation, (state, assignment))| {
            let callers = Arc::clone(&callers);
            async move {
                let mut line = format!("{operation:<55}{state:<11}");
                for caller in CALLERS {
                    let answer = callers.cell(operation, caller, assignment).await;
                    _ = write!(line, "{answer:<22}");
                }
                line.trim_end().to_owned() + "\n"
            }
        })
        // One at a time, as an org is exported.
        .buffered(1)
        .collect::<String>()
        .await;
    let mut head = format!("{:<55}{:<11}", "operation", "state");
    for caller in CALLERS {
        _ = write!(head, "{caller:<22}");
    }
    let found = format!("{}\n{lines}", head.trim_end());

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/matrix.txt");
    if std::env::var_os("MT_BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "see {}; MT_BLESS=1 writes it anew", file.display());
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}
