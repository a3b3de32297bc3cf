//! Every operation that changes something writes its audit entry in the same transaction.
//!
//! Operations come from the router, so that one which is not written down here fails. That it is the same
//! transaction shows in two faults: where the log cannot be written nothing changes, and where the change
//! cannot be committed the log says nothing.

use mt_core::id::TenantId;
use mt_core::testing::isolation::fingerprint;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::access::matrix::{Callers, body};
use crate::support::webhooks::{deliver, subscription};
use crate::support::{Answer, Server, problem};

/// The audit entries of each operation: action and actor.
const RECORDED: [(&str, &str, &str); 33] = [
    ("POST /admin/jobs/{job_id}/cancel", "job.cancelled", "operator"),
    ("POST /admin/jobs/{job_id}/retry", "job.retried", "operator"),
    ("POST /orgs/{org_id}/api-keys", "api_key.created", "user"),
    ("PATCH /orgs/{org_id}/api-keys/{key_id}", "api_key.narrowed", "user"),
    ("POST /orgs/{org_id}/api-keys/{key_id}/rotate", "api_key.rotated", "user"),
    ("DELETE /orgs/{org_id}/api-keys/{key_id}", "api_key.revoked", "user"),
    ("POST /orgs/{org_id}/service-accounts", "service_account.created", "user"),
    ("PATCH /orgs/{org_id}/service-accounts/{account_id}", "service_account.role_changed", "user"),
    ("DELETE /orgs/{org_id}/service-accounts/{account_id}", "service_account.deleted", "user"),
    ("POST /admin/orgs/{org_id}/suspension", "org.suspension_changed", "operator"),
    ("POST /admin/webhook-events/{event_id}/replay", "billing.subscription_changed", "provider"),
    ("POST /dev/checkout/{session_id}", "billing.checkout_completed", "provider"),
    ("POST /invites/accept", "member.joined", "user"),
    ("POST /orgs", "org.created", "user"),
    ("PATCH /orgs/{org_id}", "org.renamed", "user"),
    ("POST /orgs/{org_id}/billing/checkout", "billing.checkout_started", "user"),
    ("POST /orgs/{org_id}/billing/portal", "billing.customer_linked", "user"),
    ("POST /orgs/{org_id}/billing/customer", "billing.customer_linked", "user"),
    ("POST /orgs/{org_id}/export", EXPORTED, "user"),
    ("POST /orgs/{org_id}/invites", "invite.renewed", "user"),
    ("DELETE /orgs/{org_id}/invites/{invite_id}", "invite.revoked", "user"),
    ("PATCH /orgs/{org_id}/members/{user_id}", "member.role_changed", "user"),
    ("DELETE /orgs/{org_id}/members/{user_id}", "member.removed", "user"),
    ("POST /orgs/{org_id}/projects", "project.created", "user"),
    ("PATCH /orgs/{org_id}/projects/{project_id}", "project.renamed", "user"),
    ("DELETE /orgs/{org_id}/projects/{project_id}", "project.deleted", "user"),
    ("POST /orgs/{org_id}/projects/{project_id}/tasks", "task.created", "user"),
    ("PATCH /orgs/{org_id}/tasks/{task_id}", "task.updated", "user"),
    ("DELETE /orgs/{org_id}/tasks/{task_id}", "task.deleted", "user"),
    ("POST /orgs/{org_id}/roles", "role.created", "user"),
    ("PATCH /orgs/{org_id}/roles/{role_id}", "role.changed", "user"),
    ("DELETE /orgs/{org_id}/roles/{role_id}", "role.deleted", "user"),
    ("POST /webhooks/stripe", "billing.subscription_changed", "provider"),
];

/// The one that changes nothing else.
const EXPORTED: &str = "org.exported";

/// The operations without an entry, and why. The list may get shorter; its length is fixed so that it cannot get longer.
const EXEMPT: [(&str, &str); 4] = [
    ("DELETE /orgs/{org_id}", "the log goes too: `log_names_the_operator_who_deleted_an_org`"),
    ("POST /auth/logout", "of no org"),
    ("POST /auth/redeem", "of no org"),
    ("POST /auth/request-link", "of no org"),
];

/// Returns the request of an operation, after creating everything that it needs.
enum Request {
    Call { method: Method, path: String, token: String, body: Option<Value> },
    Delivery(Value),
}

/// Sets the scene for an operation, and says in which org; that of `POST /orgs` is yet to be made.
async fn prepare(callers: &Callers, operation: &str) -> (Option<TenantId>, Request) {
    let (server, owner) = (&callers.server, &callers.people["owner"]);
    let (method, template) = operation.split_once(' ').unwrap();
    // On the free plan there is no seat for another.
    let state = match operation {
        "POST /invites/accept" => "plan = 'pro', subscription_status = 'active'",
        _ => "plan = 'free'",
    };
    let (org, path) = callers.org(state, template).await;
    let call = |path: String, token: &str, body: Option<Value>| Request::Call {
        method: method.parse().unwrap(),
        path,
        token: token.to_owned(),
        body,
    };
    let customer = format!("cus_dev_{}", org.as_uuid().simple());
    let event = subscription(&format!("evt_{}", org.as_uuid().simple()), &customer, "active");
    let linked = format!(
        "insert into mt.billing_customers (tenant_id, provider, customer_id) \
             values ('{org}', 'stripe', '{customer}')"
    );
    let request = match operation {
        "POST /admin/orgs/{org_id}/suspension" => {
            call(path, "dev-admin", Some(json!({"mode": "read_only"})))
        }
        "POST /admin/jobs/{job_id}/cancel" | "POST /admin/jobs/{job_id}/retry" => {
            let job = uuid::Uuid::now_v7();
            let sql = format!(
                "insert into mt.jobs (tenant_id, id, kind, payload, authority, service, run_at) \
                     values ('{org}', '{job}', 'k', '{{}}', 'service', 's', now() + interval '1 day')"
            );
            server.sql(&sql).await;
            call(path.replace("{job_id}", &job.to_string()), "dev-admin", None)
        }
        "POST /admin/webhook-events/{event_id}/replay" => {
            let delivered = deliver(server, &event).await.json();
            assert_eq!(delivered["status"], "failed", "no org is linked yet");
            server.sql(&linked).await;
            let id = event["id"].as_str().unwrap();
            call(format!("/admin/webhook-events/{id}/replay"), "dev-admin", None)
        }
        "POST /webhooks/stripe" => {
            server.sql(&linked).await;
            Request::Delivery(event)
        }
        "POST /orgs/{org_id}/billing/checkout" => {
            server.sql(&linked).await;
            call(path, &owner.token, None)
        }
        "POST /dev/checkout/{session_id}" => {
            let page = format!("/orgs/{org}/billing/checkout");
            let session = server.post(&page, owner, Value::Null).await.json();
            let session = session["session_id"].as_str().unwrap();
            call(format!("/dev/checkout/{session}"), &owner.token, None)
        }
        "POST /invites/accept" => {
            let stranger = &callers.people["stranger"];
            let invite = json!({"email": stranger.email, "role": "member"});
            let invited = server.post(&format!("/orgs/{org}/invites"), owner, invite).await;
            call(path, &stranger.token, Some(json!({"token": invited.json()["token"]})))
        }
        "POST /orgs" => {
            return (None, call(path, &owner.token, Some(json!({"name": "Made"}))));
        }
        _ => call(path, &owner.token, body(operation)),
    };
    (Some(org), request)
}

async fn send(server: &Server, request: &Request) -> Answer {
    match request {
        Request::Call { method, path, token, body } => {
            server.send(method.clone(), path, Some(token), body.clone()).await
        }
        Request::Delivery(event) => deliver(server, event).await,
    }
}

/// The last line of an org's log, as stored, and how many there are.
async fn last(server: &Server, org: TenantId) -> (i64, Option<(String, String, Option<String>)>) {
    let lines: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "select action, actor_kind, request_id from mt.audit_log where tenant_id = $1 order by id",
    )
    .bind(org.as_uuid())
    .fetch_all(server.db.admin())
    .await
    .unwrap();
    (i64::try_from(lines.len()).unwrap(), lines.last().cloned())
}

/// Returns the differences between expected and written entries.
async fn findings(callers: &Callers) -> Vec<String> {
    let server = &callers.server;
    let mut findings = Vec::new();
    for (operation, action, actor) in RECORDED {
        let (org, request) = prepare(callers, operation).await;
        let before = match org {
            Some(org) => last(server, org).await.0,
            None => 0,
        };
        let answer = send(server, &request).await;
        assert!(answer.status < 300, "{operation}: {answer:?}");
        let org = org.or_else(|| TenantId::parse(answer.json()["id"].as_str().unwrap())).unwrap();
        let (after, line) = last(server, org).await;
        if after == before {
            findings.push(format!("{operation} leaves none"));
            continue;
        }
        let request_id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        let stored = action.replace("org.", "tenant.");
        let expected = (stored, actor.to_owned(), Some(request_id));
        if line.as_ref() != Some(&expected) {
            findings.push(format!("{operation} leaves {line:?} and not {expected:?}"));
        }
    }
    findings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_that_changes_something_is_recorded() {
    let callers = Callers::new().await;
    let known: Vec<&str> =
        RECORDED.iter().map(|(name, ..)| *name).chain(EXEMPT.map(|(name, _)| name)).collect();
    let operations = callers.server.operations.iter().filter(|(method, _)| method != "GET");
    let operations: Vec<_> = operations.map(|(method, path)| format!("{method} {path}")).collect();
    for operation in &operations {
        assert!(known.contains(&operation.as_str()), "{operation}: what does it leave in the log?");
    }
    assert_eq!(known.len(), operations.len(), "what the router does not have can go");
    assert_eq!(findings(&callers).await, [""; 0]);
}

/// The control: entries that get lost are missed, whatever the operation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unrecorded_operation_is_detected() {
    let callers = Callers::new().await;
    callers
        .server
        .sql(
            "create function public.swallow() returns trigger language plpgsql \
             as $$ begin return null; end $$",
        )
        .await;
    let swallow = "create trigger swallow before insert on mt.audit_log \
         for each row execute function public.swallow()";
    callers.server.sql(swallow).await;
    let findings = findings(&callers).await;
    assert_eq!(findings.len(), RECORDED.len(), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.ends_with("leaves none")), "{findings:#?}");
}

/// Everything that the org of an operation has, or how many orgs there are where it makes one.
async fn stored(server: &Server, org: Option<TenantId>) -> String {
    match org {
        Some(org) => fingerprint(&server.db, org).await,
        None => {
            let count = "select count(*)::text from mt.tenants";
            sqlx::query_scalar(count).fetch_one(server.db.admin()).await.unwrap()
        }
    }
}

/// With `fault` nothing of any operation stays; with it gone again, all of it does.
async fn nothing_stays(operations: &[&str], fault: &str, end: &str) {
    let callers = Callers::new().await;
    let server = &callers.server;
    for operation in operations {
        let (org, request) = prepare(&callers, operation).await;
        let before = stored(server, org).await;
        sqlx::raw_sql(AssertSqlSafe(fault.to_owned())).execute(server.db.admin()).await.unwrap();
        let answer = send(server, &request).await;
        let after = stored(server, org).await;
        sqlx::raw_sql(AssertSqlSafe(end.to_owned())).execute(server.db.admin()).await.unwrap();
        // Of an event it is said that it has failed; everything else fails.
        let failed = answer.status == 500 || answer.text.contains(r#""status":"failed""#);
        assert!(failed, "{operation}: {answer:?}");
        assert_eq!(after, before, "{operation}: {answer:?}");
        let again = send(server, &request).await;
        assert!(again.status < 300, "{operation}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_when_the_audit_log_is_unwritable() {
    nothing_stays(
        &RECORDED.map(|(operation, ..)| operation),
        "revoke insert on mt.audit_log from mt_app, mt_system",
        "grant insert on mt.audit_log to mt_app, mt_system",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_recorded_when_the_commit_fails() {
    // Refuses at the commit, and so after the log was written.
    let each_table = |sql: &str| {
        format!(
            "do $$ declare t regclass; begin \
             for t in select a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid \
                 where c.relkind = 'r' and not a.attisdropped and c.oid <> 'mt.audit_log'::regclass \
                     and (a.attname = 'tenant_id' or (c.oid = 'mt.tenants'::regclass and a.attname = 'id')) \
             loop execute format('{sql}', t); end loop; end $$"
        )
    };
    let refuse = "create or replace function public.refuse() returns trigger language plpgsql \
         as $f$ begin raise exception 'refused at the commit'; end $f$; ";
    let fault = refuse.to_owned()
        + &each_table(
            "create constraint trigger refuse after insert or update or delete on %s \
             deferrable initially deferred for each row execute function public.refuse()",
        );
    let changing = RECORDED.iter().filter(|(_, action, _)| *action != EXPORTED);
    let operations: Vec<_> = changing.map(|(operation, ..)| *operation).collect();
    nothing_stays(&operations, &fault, &each_table("drop trigger refuse on %s")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_and_admins_read_the_log_in_pages_and_by_filters() {
    let server = Server::start().await;
    let [owner, admin, member] = [
        server.sign_in("owner").await,
        server.sign_in("admin").await,
        server.sign_in("member").await,
    ];
    let org = server.org(&owner).await;
    server.join(&org, &owner, &admin, "admin").await;
    server.join(&org, &owner, &member, "member").await;
    let project = server.make(&format!("{org}/projects"), &admin, json!({"name": "secret"})).await;
    let path = format!("{org}/audit");

    assert_eq!(server.get(&path, &member).await.outcome(), problem(403, "forbidden"));
    for reader in [&owner, &admin] {
        let all = server.get(&path, reader).await.json();
        let actions: Vec<_> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["action"].as_str().unwrap())
            .collect();
        let expected = [
            "project.created",
            "member.joined",
            "invite.created",
            "member.joined",
            "invite.created",
            "org.created",
        ];
        assert_eq!(actions, expected);
        let first = &all["items"][0];
        assert_eq!(first["target"], json!({"kind": "project", "id": project}));
        let actor = json!({"kind": "user", "id": admin.id, "email": admin.email, "name": null});
        assert_eq!(first["actor"], actor);
        assert!(first["at"].as_str().unwrap().ends_with('Z'));
        assert!(first["request_id"].is_string() && first["detail"].is_object());
        // Not what anybody has typed, nor what opens anything.
        for hidden in ["secret", "token", "An org"] {
            assert!(!all.to_string().contains(hidden), "{hidden}: {all}");
        }
    }

    let of = async |query: &str| server.get(&format!("{path}?{query}"), &owner).await;
    let count = async |query: &str| of(query).await.json()["items"].as_array().unwrap().len();
    assert_eq!(count("action=member.joined").await, 2);
    assert_eq!(count(&format!("actor={}", admin.id)).await, 2);
    assert_eq!(count(&format!("actor={}&action=project.created", admin.id)).await, 1);
    assert_eq!(count("actor=user").await, 6);
    assert_eq!(count("actor=provider").await, 0);
    for bad in [
        "action=",
        "action=tenant.created",
        "action=nothing",
        "action=org.created&action=org.created",
        "actor=",
        "actor=ada",
        "actor=0",
        "limit=0",
        "cursor=x",
    ] {
        assert_eq!(of(bad).await.outcome(), problem(400, "invalid-request"), "{bad}");
    }
    let page = of("limit=4").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = of(&format!("limit=4&cursor={cursor}")).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (2, &Value::Null));
    // A cursor belongs to its list.
    assert_eq!(of(&format!("actor=user&cursor={cursor}")).await.status, 400);

    // Who has left is an id.
    assert_eq!(server.delete(&format!("{org}/members/{}", admin.id), &admin).await.status, 204);
    let gone = of(&format!("actor={}", admin.id)).await.json();
    assert_eq!(gone["items"][0]["action"], "member.left");
    let emails = gone["items"].as_array().unwrap().iter().map(|entry| &entry["actor"]["email"]);
    assert!(emails.clone().all(Value::is_null), "{:?}", emails.collect::<Vec<_>>());
    server.stop().await;
}
