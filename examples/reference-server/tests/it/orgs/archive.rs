//! Export and import of an org: the copy is equal except for its ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::fixture::{OrgFixture, files_of, orgs_json, orgs_refused, rows_of};
use crate::support::Server;
use crate::support::cli::run;

/// Replaces each id by a number, in order of first appearance, so that rows that differ only in their ids are equal.
fn without_ids(rows: &BTreeMap<String, Vec<Value>>) -> BTreeMap<String, Vec<Value>> {
    fn number(value: &mut Value, ids: &mut HashMap<String, usize>) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| number(value, ids)),
            Value::Object(members) => members.values_mut().for_each(|value| number(value, ids)),
            Value::String(text) if Uuid::try_parse(text).is_ok() => {
                let next = ids.len();
                *value = json!({"id": *ids.entry(text.clone()).or_insert(next)});
            }
            _ => {}
        }
    }
    let (mut ids, mut all) = (HashMap::new(), rows.clone());
    for rows in all.values_mut() {
        for row in rows {
            number(row, &mut ids);
        }
    }
    all
}

/// Every id that stands alone in a value, but for those of requests: they are in other logs too.
fn ids_of(rows: &BTreeMap<String, Vec<Value>>) -> Vec<String> {
    fn collect(value: &Value, ids: &mut Vec<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "request_id")
                .for_each(|(_, value)| collect(value, ids)),
            Value::String(text) if Uuid::try_parse(text).is_ok() => ids.push(text.clone()),
            _ => {}
        }
    }
    let mut ids = Vec::new();
    rows.values().flatten().for_each(|row| collect(row, &mut ids));
    ids
}

const LOG: &str = "mt.audit_log.jsonl";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_matches_its_manifest() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let files = files_of(&fixture.export(&server, folder.path()).await);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let tables = ["app.projects", "app.tasks", "mt.audit_log", "mt.invites", "mt.memberships"];
    for table in tables.iter().chain(&["mt.roles", "mt.service_accounts", "mt.tenants", "mt.users"])
    {
        assert!(names.contains(&format!("{table}.jsonl").as_str()), "{names:?}");
    }
    assert_eq!((names.len(), names.last()), (10, Some(&"manifest.json")));
    let manifest: Value = serde_json::from_slice(&files[9].1).unwrap();
    assert_eq!((&manifest["tenant"], &manifest["name"]), (&json!(fixture.id), &json!("An org")));
    for (file, bytes) in &files[..9] {
        let mut tables = manifest["tables"].as_array().unwrap().iter();
        let table =
            tables.find(|table| *file == format!("{}.jsonl", table["name"].as_str().unwrap()));
        let table = table.unwrap();
        assert_eq!(table["sha256"], hex::encode(Sha256::digest(bytes)), "{file}");
        assert_eq!(table["bytes"], bytes.len());
        assert_eq!(table["rows"], bytes.split(|byte| *byte == b'\n').count() - 1);
    }
    assert_eq!(names[..2], ["mt.tenants.jsonl", "mt.users.jsonl"]);
    // What opens something is not in it. People are the members; others are in the invites that they had.
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("token"), "{name}");
        assert_eq!(text.contains("former@"), name == "mt.invites.jsonl", "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_org_equals_the_exported_one_except_for_ids() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let roles = server.get(&format!("{}/roles", fixture.org), &fixture.owner).await.json();
    let auditor = &roles["items"][0]["id"];
    let member = format!("{}/members/{}", fixture.org, fixture.member.id);
    let given = server.patch(&member, &fixture.owner, json!({"role_id": auditor})).await;
    assert_eq!(given.status, 200, "{given:?}");
    let agent = json!({"name": "agent", "role": "member"});
    let accounts = format!("{}/service-accounts", fixture.org);
    assert_eq!(server.post(&accounts, &fixture.owner, agent).await.status, 201);
    let folder = tempfile::tempdir().unwrap();
    let archive = fixture.export(&server, folder.path()).await;
    let made = orgs_json(&server, &["import", archive.to_str().unwrap()]).await;
    let first_id = fixture.id.clone();
    let id = made["org_id"].as_str().unwrap().to_owned();
    let copy = OrgFixture { org: format!("/orgs/{id}"), id, ..fixture };
    let again = copy.export(&server, folder.path()).await;
    let (first, mut second) = (rows_of(&archive), rows_of(&again));
    assert_eq!(made["rows"], first.values().map(Vec::len).sum::<usize>());

    // The log goes on: it was imported, and then exported once more.
    let log = second.get_mut(LOG).unwrap();
    let since: Vec<_> = log.split_off(first[LOG].len());
    assert_eq!(since[0]["detail"], json!({"from": first_id, "rows": made["rows"]}));
    let since: Vec<_> = since.iter().map(|line| (&line["action"], &line["actor_name"])).collect();
    let expected = [
        (&json!("tenant.imported"), &json!("mt-server, ada")),
        (&json!("tenant.exported"), &Value::Null),
    ];
    assert_eq!(since, expected);
    assert_eq!(without_ids(&first), without_ids(&second));
    // Only the people are the same.
    let people: Vec<_> = first["mt.users.jsonl"].iter().map(|user| user["id"].clone()).collect();
    let before = ids_of(&first);
    let after = ids_of(&second);
    let same = after.iter().filter(|id| before.contains(id) && !people.contains(&json!(id)));
    assert_eq!(same.count(), 0);

    // And it lives.
    let shown = server.get(&copy.org, &copy.owner).await.json();
    assert_eq!(
        (&shown["role"], &shown["plan"], &shown["suspension"]),
        (&json!("owner"), &json!("free"), &json!("none"))
    );
    assert_eq!(shown["usage"]["tasks"]["used"], 3);
    // The member has the custom role of the copy.
    let audit = server.get(&format!("{}/audit", copy.org), &copy.member).await;
    let projects = server.get(&format!("{}/projects", copy.org), &copy.member).await;
    assert_eq!((audit.status, projects.status), (200, 403));
    let guest = json!({"email": "guest@example.org", "role": "member"});
    let renewed = server.post(&format!("{}/invites", copy.org), &copy.owner, guest).await;
    assert_eq!(renewed.status, 201, "an invite that waits is sent again: {renewed:?}");
    let waiting = server.get(&format!("{}/invites", copy.org), &copy.owner).await.json();
    let ids: Vec<_> = waiting["items"].as_array().unwrap().iter().map(|i| &i["id"]).collect();
    assert!(ids.contains(&&renewed.json()["id"]), "{waiting}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_org_moves_to_another_database_and_its_members_sign_in_there() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("moved.tar");
    let archive = archive.to_str().unwrap();
    let told = orgs_json(&server, &["export", &fixture.id, "--output", archive]).await;
    assert_eq!(told["bytes"], std::fs::metadata(archive).unwrap().len());
    let again = orgs_refused(&server, &["export", &fixture.id, "--output", archive]).await;
    assert!(again.contains("nothing is overwritten"), "{again}");

    let other = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let other = Server::start_on(Arc::new(other), &[]).await;
    // One of them is there already.
    let member = other.sign_in("a-member").await;
    let made = orgs_json(&other, &["import", archive, "--name", "Moved"]).await;
    let org = format!("/orgs/{}", made["org_id"].as_str().unwrap());
    let owner = other.sign_in("a-owner").await;
    assert_ne!(owner.id, fixture.owner.id);
    assert_eq!(other.get(&org, &owner).await.json()["name"], "Moved");
    let members = other.get(&format!("{org}/members"), &owner).await.json();
    let roles: BTreeMap<_, _> = members["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member["email"].as_str().unwrap(), member["role"].as_str().unwrap()))
        .collect();
    let expected = [
        ("a-admin@example.org", "admin"),
        ("a-member@example.org", "member"),
        ("a-owner@example.org", "owner"),
    ];
    assert_eq!(roles, BTreeMap::from(expected));
    let projects = other.get(&format!("{org}/projects"), &member).await.json();
    let named = |name: &str| {
        let mut all = projects["items"].as_array().unwrap().iter();
        all.find(|project| project["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let tasks = format!("{org}/projects/{}/tasks", named("Ä \"project\""));
    let tasks = other.get(&tasks, &member).await.json();
    let [done, full] = &tasks["items"].as_array().unwrap()[..] else { panic!("{tasks}") };
    assert_eq!((&done["title"], &done["status"]), (&json!("Done"), &json!("done")));
    assert_eq!((&full["title"], &full["assigned_to"]), (&json!("Ж"), &json!(member.id)));
    assert!(full["description"].as_str().unwrap().starts_with("two\nlines, \\ and \t "));
    assert_ne!(fixture.member.id, member.id);
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_from_before_an_added_column_is_accepted() {
    let server = Server::start().await;
    let fixture = OrgFixture::new(&server, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let archive = fixture.export(&server, folder.path()).await;
    let import = ["import", archive.to_str().unwrap()];
    server
        .sql(
            "alter table app.tasks add column estimate integer, \
                 add column weight integer not null default 7",
        )
        .await;
    let made = orgs_json(&server, &import).await;
    let weights: Vec<(Option<i32>, i32)> =
        sqlx::query_as("select estimate, weight from app.tasks where tenant_id = $1::uuid")
            .bind(made["org_id"].as_str())
            .fetch_all(server.db.admin())
            .await
            .unwrap();
    assert_eq!(weights, [(None, 7); 3]);
    // The control: without a value of its own there is nothing to write.
    server.sql("alter table app.tasks alter column weight drop default").await;
    let refused = orgs_refused(&server, &import).await;
    assert!(refused.contains("no column `app.tasks.weight`"), "{refused}");
    server.stop().await;
}

/// The command keeps a hundred rows at a time, however many there are and however slowly they are taken.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_org_takes_no_more_memory_than_a_small_one() {
    use tokio::io::AsyncReadExt as _;

    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let id = org.rsplit('/').next().unwrap();
    server
        .sql(&format!(
            "with p as (insert into app.projects (tenant_id, id, name) \
                 values ('{id}', gen_random_uuid(), 'P') returning id) \
             insert into app.tasks (tenant_id, id, project_id, title, description, created_by) \
             select '{id}', gen_random_uuid(), p.id, 'T', repeat('x', 8000), '{}' \
             from p, generate_series(1, 20000)",
            owner.id
        ))
        .await;
    let mut export = tokio::process::Command::new(env!("CARGO_BIN_EXE_mt-server"))
        .args(["orgs", "export", id, "--output", "-"])
        .env_clear()
        .envs([("APP_ENV", "test"), ("USER", "ada")])
        .env("DATABASE_URL", server.db.login_url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", export.id().unwrap());
    let peak = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut archive = export.stdout.take().unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let (mut read, mut at_first, mut later) = (0_u64, 0, 0);
    loop {
        let length = archive.read(&mut buffer).await.unwrap();
        if length == 0 {
            break;
        }
        read += u64::try_from(length).unwrap();
        if at_first == 0 {
            at_first = peak();
        }
        // Not at the end, when it may be gone.
        if read < 150_000_000 {
            later = peak();
        }
    }
    assert!(export.wait().await.unwrap().success());
    assert!(read > 160_000_000, "{read}");
    assert!(later < at_first + 20_000, "{at_first} kB at first, {later} kB later");
    server.stop().await;
}

/// Wrong usage, found before anything is opened.
#[tokio::test]
async fn archive_and_json_cannot_both_go_to_stdout() {
    let org = "01a2180c-de11-745e-bd91-7348ecc5be59";
    let output = run(&["orgs", "export", org, "--output", "-", "--json"], &[]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("cannot both be on stdout"), "{told}");
}
