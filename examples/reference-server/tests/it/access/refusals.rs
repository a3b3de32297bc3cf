//! Refusals: which error each caller gets, and in which order errors are checked.

use mt_core::id::TenantId;
use mt_core::testing::isolation::fingerprint;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::matrix::body;
use crate::support::{Answer, Person, Server, answer, problem};

/// Bodies of every kind for an operation: good, of the wrong shape, no JSON, none, too long.
fn bodies(operation: &str) -> Vec<Vec<u8>> {
    let good = body(operation).map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let others = ["", "{", "[]", r#"{"wrong":true}"#, "\u{0}"].map(|body| body.as_bytes().to_vec());
    [vec![good], others.to_vec(), vec![vec![b' '; 70_000]]].concat()
}

/// All of an answer but what tells two requests apart.
fn all_of(answer: &Answer) -> String {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    headers.remove("x-request-id");
    let mut headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    format!("{} {headers:?} {}", answer.status, answer.text.replace(&id, "…"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_and_unknown_org_get_the_same_answer() {
    let server = Server::start().await;
    let Org { path, owner, admin: removed, project, task, .. } = org(&server).await;
    let stranger = server.sign_in("stranger").await;
    let gone = server.delete(&format!("{path}/members/{}", removed.id), &owner).await;
    assert_eq!(gone.status, 204);
    let org = path.rsplit('/').next().unwrap();
    let tenant = TenantId::parse(org).unwrap();
    let stored = fingerprint(&server.db, tenant).await;
    let nowhere = Uuid::now_v7().to_string();
    let mut compared = 0;
    let below = server.operations.iter().filter(|(_, path)| path.starts_with("/orgs/{org_id}"));
    for (method, template) in below {
        let at = |org: &str| {
            template
                .replace("{org_id}", org)
                .replace("{project_id}", &project)
                .replace("{task_id}", &task)
                .replace("{user_id}", &owner.id)
                .replace("{invite_id}", &nowhere)
                .replace("{role_id}", &nowhere)
                .replace("{account_id}", &nowhere)
                .replace("{key_id}", &nowhere)
        };
        let operation = format!("{method} {template}");
        let method: Method = method.parse().unwrap();
        for body in bodies(&operation) {
            for who in [&stranger, &removed] {
                let send = async |path: &str, body: Vec<u8>| {
                    server.send_bytes(method.clone(), path, Some(&who.token), body).await
                };
                let hidden = send(&at(org), body.clone()).await;
                let absent = send(&at(&nowhere), body.clone()).await;
                assert_eq!(all_of(&hidden), all_of(&absent), "{operation}");
                // Only what the transport itself does not take comes first.
                let code =
                    if body.len() > 65_536 { (413, "too-large") } else { (404, "not-found") };
                assert_eq!(hidden.outcome(), problem(code.0, code.1), "{operation}");
                compared += 1;
            }
            let anonymous = server.send_bytes(method.clone(), &at(org), None, body.clone()).await;
            if body.len() <= 65_536 {
                assert_eq!(anonymous.outcome(), problem(401, "unauthenticated"), "{operation}");
            }
        }
    }
    assert_eq!(compared, 38 * 7 * 2, "operations, bodies, people");
    assert_eq!(fingerprint(&server.db, tenant).await, stored, "nothing of it has changed anything");
    server.stop().await;
}

/// The control to the comparison above: it sees a difference in each part of an answer.
#[test]
fn answers_are_compared_whole() {
    let answer = |status, header: &str, text: &str| Answer {
        status,
        headers: [("x-a".parse().unwrap(), header.parse().unwrap())].into_iter().collect(),
        text: text.to_owned(),
    };
    let one = answer(404, "1", r#"{"request_id":"r1"}"#);
    assert_eq!(all_of(&one), all_of(&answer(404, "1", r#"{"request_id":"r2"}"#)));
    for other in [
        answer(403, "1", r#"{"request_id":"r1"}"#),
        answer(404, "2", r#"{"request_id":"r1"}"#),
        answer(404, "1", r#"{ "request_id":"r1"}"#),
    ] {
        assert_ne!(all_of(&one), all_of(&other));
    }
}

/// A member who asks for a thing of another org gets the same answer as for an unknown id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_and_unknown_ids_get_the_same_answer() {
    let server = Server::start().await;
    let here = org(&server).await;
    let other = server.sign_in("other").await;
    let there = server.org(&other).await;
    let name = json!({"name": "P"});
    let project = server.make(&format!("{there}/projects"), &other, name.clone()).await;
    let tasks = format!("{there}/projects/{project}/tasks");
    let task = server.make(&tasks, &other, json!({"title": "T"})).await;
    let own = server.make(&format!("{}/projects", here.path), &here.owner, name.clone()).await;
    for (template, id) in [
        ("GET projects/{}", &project),
        ("PATCH projects/{}", &project),
        ("DELETE projects/{}", &project),
        ("GET projects/{}/tasks", &project),
        ("POST projects/{}/tasks", &project),
        ("GET tasks/{}", &task),
        ("PATCH tasks/{}", &task),
        ("DELETE tasks/{}", &task),
        ("PATCH members/{}", &other.id),
        ("DELETE members/{}", &other.id),
    ] {
        let (method, at) = template.split_once(' ').unwrap();
        let body = match at {
            _ if method == "GET" || method == "DELETE" => None,
            "projects/{}" => Some(name.clone()),
            "members/{}" => Some(json!({"role": "admin"})),
            _ => Some(json!({"title": "T"})),
        };
        let ask = async |id: &str| {
            let path = format!("{}/{}", here.path, at.replace("{}", id));
            let method: Method = method.parse().unwrap();
            server.send(method, &path, Some(&here.owner.token), body.clone()).await
        };
        let foreign = ask(id).await;
        assert_eq!(foreign.outcome(), problem(404, "not-found"), "{template}");
        assert_eq!(all_of(&foreign), all_of(&ask(&Uuid::now_v7().to_string()).await), "{template}");
    }
    // Nor can one be pointed at in a body.
    let tasks = format!("{}/projects/{own}/tasks", here.path);
    let ask = async |assignee: &str| {
        server.post(&tasks, &here.owner, json!({"title": "T", "assigned_to": assignee})).await
    };
    let foreign = ask(&other.id).await;
    assert_eq!(foreign.outcome(), problem(422, "invalid-fields"));
    assert_eq!(all_of(&foreign), all_of(&ask(&Uuid::now_v7().to_string()).await));
    server.stop().await;
}

/// An org with a member, an admin, a project and a task of the owner's.
struct Org {
    path: String,
    owner: Person,
    admin: Person,
    member: Person,
    project: String,
    task: String,
}

async fn org(server: &Server) -> Org {
    let owner = server.sign_in("owner").await;
    let admin = server.sign_in("admin").await;
    let member = server.sign_in("member").await;
    let path = server.org(&owner).await;
    server.join(&path, &owner, &admin, "admin").await;
    server.join(&path, &owner, &member, "member").await;
    let project = server.make(&format!("{path}/projects"), &owner, json!({"name": "P"})).await;
    let tasks = format!("{path}/projects/{project}/tasks");
    let task = server.make(&tasks, &owner, json!({"title": "T"})).await;
    Org { path, owner, admin, member, project, task }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_decide_and_members_change_their_own_tasks() {
    let server = Server::start().await;
    let Org { path, owner, admin, member, project, task } = org(&server).await;
    let task = format!("{path}/tasks/{task}");
    let forbidden = problem(403, "forbidden");

    let done = json!({"status": "done"});
    assert_eq!(server.patch(&task, &member, done.clone()).await.outcome(), forbidden);
    assert_eq!(server.delete(&task, &member).await.outcome(), forbidden);
    let assigned = json!({"assigned_to": member.id});
    assert_eq!(server.patch(&task, &admin, assigned).await.status, 200);
    assert_eq!(server.patch(&task, &member, done).await.status, 200);
    // A nested id that is not there is said before whose it is.
    let absent = format!("{path}/tasks/{}", Uuid::now_v7());
    let nothing = json!({});
    assert_eq!(
        server.patch(&absent, &member, nothing.clone()).await.outcome(),
        problem(404, "not-found")
    );
    assert_eq!(server.patch(&task, &owner, nothing).await.status, 200);

    let project = format!("{path}/projects/{project}");
    let name = json!({"name": "Q"});
    assert_eq!(server.patch(&project, &member, name.clone()).await.outcome(), forbidden);
    assert_eq!(server.patch(&project, &admin, name.clone()).await.status, 200);
    assert_eq!(server.patch(&path, &admin, name.clone()).await.outcome(), forbidden);
    assert_eq!(server.patch(&path, &owner, name).await.json()["name"], "Q");

    // No member grants a role above the own one, and the last owner stays.
    let invites = format!("{path}/invites");
    for (who, role, outcome) in [
        (&owner, "owner", forbidden.clone()),
        (&admin, "admin", forbidden.clone()),
        (&member, "member", forbidden.clone()),
        (&admin, "member", problem(201, "")),
    ] {
        let invite = json!({"email": format!("{role}-new@example.org"), "role": role});
        assert_eq!(server.post(&invites, who, invite).await.outcome(), outcome, "{role}");
    }
    let of = |who: &Person| format!("{path}/members/{}", who.id);
    assert_eq!(server.delete(&of(&owner), &admin).await.outcome(), forbidden);
    assert_eq!(server.delete(&of(&admin), &member).await.outcome(), forbidden);
    let demoted = json!({"role": "member"});
    assert_eq!(
        server.patch(&of(&owner), &owner, demoted).await.outcome(),
        problem(409, "last-owner")
    );
    assert_eq!(server.delete(&of(&owner), &owner).await.outcome(), problem(409, "last-owner"));
    assert_eq!(server.delete(&of(&member), &member).await.status, 204);
    let task = server.get(&task, &owner).await.json();
    assert_eq!(task["assigned_to"], Value::Null);
    assert_eq!(task["created_by"], json!(owner.id));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lapsed_org_can_read_shrink_leave_and_pay() {
    let server = Server::start().await;
    let Org { path, owner, admin, member, project, task } = org(&server).await;
    let invites = format!("{path}/invites");
    let invite = json!({"email": "new@example.org", "role": "member"});
    let invited = server.post(&invites, &owner, invite.clone()).await.json();
    let newcomer = server.sign_in("new").await;
    server.sql("update mt.tenants set subscription_status = 'unpaid'").await;

    let projects = format!("{path}/projects");
    let billing = problem(402, "billing-required");
    for (method, at, body) in [
        (Method::PATCH, path.clone(), json!({"name": "x"})),
        (Method::PATCH, format!("{path}/members/{}", member.id), json!({"role": "admin"})),
        (Method::POST, invites.clone(), invite),
        (Method::POST, projects.clone(), json!({"name": "x"})),
        (Method::PATCH, format!("{projects}/{project}"), json!({"name": "x"})),
        (Method::POST, format!("{projects}/{project}/tasks"), json!({"title": "x"})),
        (Method::PATCH, format!("{path}/tasks/{task}"), json!({"title": "x"})),
        // Billing is decided before the body is looked at.
        (Method::POST, projects.clone(), json!({"colour": 1})),
    ] {
        let refused = server.send(method.clone(), &at, Some(&owner.token), Some(body)).await;
        assert_eq!(refused.outcome(), billing, "{method} {at}");
    }
    for at in [format!("{projects}/{project}"), format!("{path}/tasks/{task}")] {
        assert_eq!(server.delete(&at, &owner).await.outcome(), billing, "DELETE {at}");
    }
    let token = json!({"token": invited["token"]});
    assert_eq!(server.post("/invites/accept", &newcomer, token).await.outcome(), billing);
    // Role comes before billing.
    let refused = server.post(&projects, &member, json!({"name": "x"})).await;
    assert_eq!(refused.outcome(), problem(403, "forbidden"));

    for at in [
        path.clone(),
        projects.clone(),
        format!("{projects}/{project}/tasks"),
        format!("{path}/members"),
        format!("{path}/billing"),
    ] {
        assert_eq!(server.get(&at, &owner).await.status, 200, "GET {at}");
    }
    let customer = format!("{path}/billing/customer");
    assert_eq!(server.post(&customer, &owner, json!({})).await.status, 200);
    let revoke = format!("{invites}/{}", invited["id"].as_str().unwrap());
    assert_eq!(server.delete(&revoke, &owner).await.status, 204);
    assert_eq!(server.delete(&revoke, &owner).await.status, 204);
    assert_eq!(server.delete(&format!("{path}/members/{}", member.id), &member).await.status, 204);
    assert_eq!(server.delete(&format!("{path}/members/{}", admin.id), &owner).await.status, 204);
    assert_eq!(server.delete(&path, &owner).await.status, 204);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invites_are_bound_used_once_and_never_change_a_role() {
    let server = Server::start().await;
    let Org { path, owner, admin, .. } = org(&server).await;
    let invites = format!("{path}/invites");
    let stranger = server.sign_in("stranger").await;
    let guest = server.sign_in("guest").await;
    let invite = json!({"email": "Guest@example.org", "role": "member"});
    let first = server.post(&invites, &admin, invite.clone()).await;
    assert_eq!(first.json()["email"], "guest@example.org");
    let again = server.post(&invites, &admin, invite.clone()).await;
    assert_eq!((again.status, &again.json()["id"]), (201, &first.json()["id"]));

    let accept = |token: Value| json!({"token": token});
    let invalid = problem(400, "invite-invalid");
    let dead = server.post("/invites/accept", &guest, accept(first.json()["token"].clone())).await;
    let unknown = server.post("/invites/accept", &guest, accept(json!("nonsense"))).await;
    assert_eq!(dead.outcome(), invalid);
    assert_eq!(dead.without_request_id(), unknown.without_request_id());
    let token = accept(again.json()["token"].clone());
    let stolen = server.post("/invites/accept", &stranger, token.clone()).await;
    assert_eq!(stolen.outcome(), problem(403, "forbidden"));

    // The inviter must still have the permission when the invite is used.
    let of_admin = format!("{path}/members/{}", admin.id);
    assert_eq!(server.patch(&of_admin, &owner, json!({"role": "member"})).await.status, 200);
    assert_eq!(server.post("/invites/accept", &guest, token.clone()).await.outcome(), invalid);
    assert_eq!(server.patch(&of_admin, &owner, json!({"role": "admin"})).await.status, 200);
    assert_eq!(server.post("/invites/accept", &guest, token.clone()).await.status, 200);
    assert_eq!(server.post("/invites/accept", &guest, token).await.outcome(), invalid);
    // Four members: the plan's seats are taken.
    let full = server.post(&invites, &owner, json!({"email": "x@y", "role": "member"})).await;
    assert_eq!(full.outcome(), problem(402, "cap-reached"));
    assert_eq!(full.json()["resource"], "members");
    let member = server.post(&invites, &owner, invite).await;
    assert_eq!(member.outcome(), problem(409, "already-member"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_and_expired_tokens_get_401() {
    let server = Server::start().await;
    let person = server.sign_in("ada").await;
    let client = reqwest::Client::new();
    let me = format!("{}/me", server.base_url());
    let bad = client.get(&me).bearer_auth("nonsense").send().await.unwrap();
    let challenge = bad.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    assert_eq!(answer(bad).await.outcome(), problem(401, "unauthenticated"));
    let good = format!("Bearer {}", person.token);
    let twice =
        client.get(&me).header("authorization", &good).header("authorization", &good).send().await;
    assert_eq!(answer(twice.unwrap()).await.outcome(), problem(401, "unauthenticated"));
    let in_query = client.get(format!("{me}?access_token={}", person.token)).send().await.unwrap();
    assert_eq!(in_query.headers()["www-authenticate"], "Bearer");
    assert_eq!(in_query.status(), 401);
    let lower = client.get(&me).header("authorization", good.replace("Bearer", "bEaReR"));
    assert_eq!(lower.send().await.unwrap().status(), 200);

    let other = server.redeem(&server.link("ada@example.org").await).await;
    let other = Person {
        token: other.json()["access_token"].as_str().unwrap().to_owned(),
        ..person.clone()
    };
    assert_eq!(server.post("/auth/logout", &person, json!({})).await.status, 204);
    for ended in [&person, &other] {
        assert_eq!(server.get("/me", ended).await.outcome(), problem(401, "unauthenticated"));
    }
    assert_eq!(server.get("/me", &server.sign_in("ada").await).await.status, 200);
    server.stop().await;
}
