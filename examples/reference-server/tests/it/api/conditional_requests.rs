//! Entity tags, `If-Match` and `If-None-Match`.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::concurrent::at_once;
use crate::support::{Answer, Person, Server, problem};

const ROUNDS: usize = 20;

struct Fixture {
    server: Arc<Server>,
    owner: Person,
    /// A project and a task, each with a change to it.
    things: [(String, Value); 2],
}

async fn fixture() -> Fixture {
    let server = Arc::new(Server::start().await);
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
    let project = format!("{org}/projects/{project}");
    let task = server.make(&format!("{project}/tasks"), &owner, json!({"title": "T"})).await;
    let task = format!("{org}/tasks/{task}");
    let things = [(project, json!({"name": "Q"})), (task, json!({"status": "doing"}))];
    Fixture { server, owner, things }
}

impl Fixture {
    async fn patch(&self, path: &str, condition: Option<&str>, change: &Value) -> Answer {
        let headers: Vec<_> = condition.iter().map(|tag| ("if-match", *tag)).collect();
        let what = (Method::PATCH, path);
        self.server.send_with(what, &self.owner, &headers, Some(change.clone())).await
    }

    async fn tag(&self, path: &str) -> String {
        self.server.get(path, &self.owner).await.header("etag").to_owned()
    }
}

#[tokio::test]
async fn one_state_has_one_entity_tag_in_every_response() {
    let fixture = fixture().await;
    let (server, owner) = (&fixture.server, &fixture.owner);
    let org = fixture.things[0].0.rsplit_once("/projects/").unwrap().0.to_owned();
    let made = server.post(&format!("{org}/projects"), owner, json!({"name": "R"})).await;
    let tag = made.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 20, "{made:?}");
    let path = made.header("location").to_owned();
    assert_eq!(fixture.tag(&path).await, tag);
    // Nothing changes, and so does the tag.
    assert_eq!(fixture.patch(&path, Some(&tag), &json!({})).await.header("etag"), tag);
    for (path, change) in &fixture.things {
        let before = fixture.tag(path).await;
        let changed = fixture.patch(path, None, change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_ne!(changed.header("etag"), before);
        assert_eq!(changed.header("etag"), fixture.tag(path).await);
    }
}

#[tokio::test]
async fn change_to_an_outdated_representation_gets_412() {
    let fixture = fixture().await;
    let stale = problem(412, "precondition-failed");
    for (path, change) in &fixture.things {
        let old = fixture.tag(path).await;
        for good in [old.as_str(), "*", &format!("\"x\", {old}")] {
            let tag = fixture.tag(path).await;
            let good = good.replace(&old, &tag);
            assert_eq!(fixture.patch(path, Some(&good), change).await.status, 200, "{good}");
        }
        let now = fixture.server.get(path, &fixture.owner).await;
        let weak = format!("W/{}", now.header("etag"));
        for bad in [old.as_str(), "\"x\"", "x", "", weak.as_str()] {
            assert_eq!(fixture.patch(path, Some(bad), change).await.outcome(), stale, "{bad}");
            let headers = [("if-match", bad)];
            let what = (Method::DELETE, path.as_str());
            let kept = fixture.server.send_with(what, &fixture.owner, &headers, None).await;
            assert_eq!(kept.outcome(), stale, "{bad}");
        }
        assert_eq!(fixture.server.get(path, &fixture.owner).await.text, now.text);
        // What is not there is not there, whatever the condition; and 422 comes before it.
        let absent = format!("{}{}", &path[..path.len() - 12], "000000000000");
        assert_eq!(
            fixture.patch(&absent, Some("\"x\""), change).await.outcome(),
            problem(404, "not-found")
        );
        let wrong = fixture.patch(path, Some("\"x\""), &json!({"x": 1})).await;
        assert_eq!(wrong.outcome(), problem(422, "invalid-fields"));
    }
    for (path, _) in fixture.things.iter().rev() {
        let tag = fixture.tag(path).await;
        let headers = [("if-match", tag.as_str())];
        let what = (Method::DELETE, path.as_str());
        let gone = fixture.server.send_with(what, &fixture.owner, &headers, None).await;
        assert_eq!(gone.status, 204, "{gone:?}");
    }
}

/// Two who have seen the same change it at the same moment: one is told. Without the condition both go
/// through, which is the control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_change_to_the_same_state_gets_412() {
    let fixture = Arc::new(fixture().await);
    for round in 0..ROUNDS {
        for thing in 0..2 {
            for conditional in [true, false] {
                let tag = fixture.tag(&fixture.things[thing].0).await;
                let mut outcomes = at_once(2, |number| {
                    let (fixture, tag) = (Arc::clone(&fixture), tag.clone());
                    async move {
                        let path = &fixture.things[thing].0;
                        let field = if thing == 0 { "name" } else { "title" };
                        let change = json!({field: format!("{round} {number}")});
                        fixture.patch(path, conditional.then_some(&*tag), &change).await.outcome()
                    }
                })
                .await;
                outcomes.sort();
                let second = match conditional {
                    true => problem(412, "precondition-failed"),
                    false => problem(200, ""),
                };
                assert_eq!(outcomes, [problem(200, ""), second], "round {round}");
            }
        }
    }
}

#[tokio::test]
async fn unchanged_representation_gets_304() {
    let fixture = fixture().await;
    for (path, change) in &fixture.things {
        let tag = fixture.tag(path).await;
        let ask = async |known: &str| {
            let headers = [("if-none-match", known)];
            let what = (Method::GET, path.as_str());
            fixture.server.send_with(what, &fixture.owner, &headers, None).await
        };
        for known in [tag.as_str(), "*", &format!("W/{tag}"), &format!("\"x\",{tag}")] {
            let answer = ask(known).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
            assert_eq!(answer.header("etag"), tag);
        }
        assert_eq!(ask("\"x\"").await.status, 200);
        assert_eq!(fixture.patch(path, None, change).await.status, 200);
        assert_eq!(ask(&tag).await.status, 200);
    }
}

/// The assignee's leaving changes a task without anybody's asking for it, and its tag too.
#[tokio::test]
async fn indirect_change_changes_the_entity_tag() {
    let fixture = fixture().await;
    let (server, owner) = (&fixture.server, &fixture.owner);
    let task = &fixture.things[1].0;
    let org = task.rsplit_once("/tasks/").unwrap().0;
    let member = server.sign_in("member").await;
    server.join(org, owner, &member, "member").await;
    let assigned = fixture.patch(task, None, &json!({"assigned_to": member.id})).await;
    let tag = assigned.header("etag").to_owned();
    let left = server.delete(&format!("{org}/members/{}", member.id), &member).await;
    assert_eq!(left.status, 204);
    let refused = fixture.patch(task, Some(&tag), &json!({"title": "x"})).await;
    assert_eq!(refused.outcome(), problem(412, "precondition-failed"));
}
