//! Pagination of lists, while rows are added and removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Person, Server, problem};

/// Walks a list from its beginning, and returns the values of `member` in the order of the pages.
async fn walk(
    server: &Server,
    list: &str,
    who: &Person,
    limit: usize,
    member: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let joint = if list.contains('?') { '&' } else { '?' };
        let at = cursor.map_or(String::new(), |cursor: String| format!("&cursor={cursor}"));
        let page = server.get(&format!("{list}{joint}limit={limit}{at}"), who).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        found.extend(items.iter().map(|item| item[member].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

struct Fixture {
    server: Arc<Server>,
    owner: Person,
    org: String,
    tasks: String,
}

async fn fixture() -> Fixture {
    let server = Arc::new(Server::start().await);
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    server.sql("update mt.tenants set plan = 'pro'").await;
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
    let tasks = format!("{org}/projects/{project}/tasks");
    Fixture { server, owner, org, tasks }
}

/// A client that reads all pages sees each row that existed all the time exactly once, in order, whatever is
/// made and deleted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_repeat_nor_lose_rows_while_others_write() {
    let Fixture { server, owner, org, tasks } = fixture().await;
    let mut lasting = Vec::new();
    for number in 0..60 {
        let task = json!({"title": format!("lasting {number}")});
        lasting.push(server.make(&tasks, &owner, task).await);
    }
    lasting.reverse();
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for _ in 0..3 {
        let (server, owner, over) = (Arc::clone(&server), owner.clone(), Arc::clone(&over));
        let (org, tasks) = (org.clone(), tasks.clone());
        writers.spawn(async move {
            let mut made = 0;
            while !over.load(Ordering::Relaxed) {
                let task = server.make(&tasks, &owner, json!({"title": "passing"})).await;
                made += 1;
                if made % 2 == 0 {
                    let gone = server.delete(&format!("{org}/tasks/{task}"), &owner).await;
                    assert_eq!(gone.status, 204);
                }
            }
            made
        });
    }
    for limit in [1, 7, 50] {
        let seen = walk(&server, &tasks, &owner, limit, "id").await;
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "limit {limit}: a row came twice");
        let kept: Vec<_> = seen.iter().filter(|id| lasting.contains(id)).cloned().collect();
        assert_eq!(kept, lasting, "limit {limit}");
    }
    over.store(true, Ordering::Relaxed);
    let made: usize = writers.join_all().await.into_iter().sum();
    assert!(made > 10, "only {made} rows came in between");
}

#[tokio::test]
async fn cursor_is_valid_for_its_own_list_only() {
    let Fixture { server, owner, org, tasks } = fixture().await;
    let other = server.make(&format!("{org}/projects"), &owner, json!({"name": "Q"})).await;
    for title in ["a", "b"] {
        server.make(&tasks, &owner, json!({"title": title})).await;
    }
    let page = server.get(&format!("{tasks}?limit=1"), &owner).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let with = async |list: &str, cursor: &str| {
        server
            .get(
                &format!("{list}{}cursor={cursor}", if list.contains('?') { '&' } else { '?' }),
                &owner,
            )
            .await
    };
    assert_eq!(with(&tasks, cursor).await.status, 200);
    let mut changed = cursor.to_owned().into_bytes();
    changed[3] = if changed[3] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for (list, cursor) in [
        (format!("{org}/projects/{other}/tasks"), cursor),
        (format!("{tasks}?status=todo"), cursor),
        (format!("{org}/projects"), cursor),
        ("/orgs".to_owned(), cursor),
        (tasks.clone(), &*changed),
        (tasks.clone(), "x"),
        (tasks.clone(), ""),
    ] {
        let refused = with(&list, cursor).await;
        assert_eq!(refused.outcome(), problem(400, "invalid-request"), "{list} {cursor}");
        assert_eq!(refused.json()["errors"][0]["pointer"], "?cursor");
    }
    // Servers that share the secret take each other's.
    let settings = [("JWT_SECRET", "another secret of a server, 32 bytes")];
    let sibling = Server::start_on(Arc::clone(&server.db), &[]).await;
    let with = format!("{tasks}?cursor={cursor}");
    assert_eq!(sibling.get(&with, &owner).await.status, 200);
    let stranger = Server::start_on(Arc::clone(&server.db), &settings).await;
    let signed_in = stranger.sign_in("owner").await;
    assert_eq!(stranger.get(&with, &signed_in).await.outcome(), problem(400, "invalid-request"));
}

#[tokio::test]
async fn every_list_has_pages_newest_first() {
    let Fixture { server, owner, org, tasks } = fixture().await;
    for name in ["one", "two", "three"] {
        server.make(&format!("{org}/projects"), &owner, json!({"name": name})).await;
        server.make(&tasks, &owner, json!({"title": name})).await;
        let email = format!("{name}@example.org");
        let invite = json!({"email": email, "role": "member"});
        server.make(&format!("{org}/invites"), &owner, invite).await;
        server.make("/orgs", &owner, json!({"name": name})).await;
    }
    // Signed up in the one order, joined in the other.
    let (late, early) = (server.sign_in("late").await, server.sign_in("early").await);
    server.join(&org, &owner, &early, "member").await;
    server.join(&org, &owner, &late, "member").await;
    for (list, member, newest) in [
        (format!("{org}/projects"), "name", ["three", "two"]),
        (tasks, "title", ["three", "two"]),
        (format!("{org}/invites"), "email", ["late@example.org", "early@example.org"]),
        ("/orgs".to_owned(), "name", ["three", "two"]),
        (format!("{org}/members"), "email", ["late@example.org", "early@example.org"]),
    ] {
        let whole = walk(&server, &list, &owner, 100, member).await;
        assert_eq!(whole[..2], newest, "{list}");
        for limit in [1, 2] {
            assert_eq!(walk(&server, &list, &owner, limit, member).await, whole, "{list} {limit}");
        }
        let page = server.get(&format!("{list}?limit=1"), &owner).await.json();
        assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
        let empty = server.get(&format!("{list}?limit=0"), &owner).await;
        assert_eq!(empty.json()["errors"][0]["pointer"], Value::from("?limit"));
    }
}
