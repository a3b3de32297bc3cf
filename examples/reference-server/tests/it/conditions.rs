//! Entity tags: what was seen is changed, or the client is told that it is no more what was seen.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::concurrency::at_once;
use crate::support::{Answer, Person, Server, problem};

const ROUNDS: usize = 20;

struct Scene {
    server: Arc<Server>,
    owner: Person,
    /// A project and a task, each with a change to it.
    things: [(String, Value); 2],
}

async fn scene() -> Scene {
    let server = Arc::new(Server::start().await);
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "P"})).await;
    let project = format!("{org}/projects/{project}");
    let task = server.make(&format!("{project}/tasks"), &owner, json!({"title": "T"})).await;
    let task = format!("{org}/tasks/{task}");
    let things = [(project, json!({"name": "Q"})), (task, json!({"status": "doing"}))];
    Scene { server, owner, things }
}

impl Scene {
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
async fn making_showing_and_changing_tell_one_tag_for_one_state() {
    let scene = scene().await;
    let (server, owner) = (&scene.server, &scene.owner);
    let org = scene.things[0].0.rsplit_once("/projects/").unwrap().0.to_owned();
    let made = server.post(&format!("{org}/projects"), owner, json!({"name": "R"})).await;
    let tag = made.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 20, "{made:?}");
    let path = made.header("location").to_owned();
    assert_eq!(scene.tag(&path).await, tag);
    // Nothing changes, and so does the tag.
    assert_eq!(scene.patch(&path, Some(&tag), &json!({})).await.header("etag"), tag);
    for (path, change) in &scene.things {
        let before = scene.tag(path).await;
        let changed = scene.patch(path, None, change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_ne!(changed.header("etag"), before);
        assert_eq!(changed.header("etag"), scene.tag(path).await);
    }
}

#[tokio::test]
async fn a_change_to_what_is_no_more_is_refused() {
    let scene = scene().await;
    let stale = problem(412, "precondition-failed");
    for (path, change) in &scene.things {
        let old = scene.tag(path).await;
        for good in [old.as_str(), "*", &format!("\"x\", {old}")] {
            let tag = scene.tag(path).await;
            let good = good.replace(&old, &tag);
            assert_eq!(scene.patch(path, Some(&good), change).await.status, 200, "{good}");
        }
        let now = scene.server.get(path, &scene.owner).await;
        let weak = format!("W/{}", now.header("etag"));
        for bad in [old.as_str(), "\"x\"", "x", "", weak.as_str()] {
            assert_eq!(scene.patch(path, Some(bad), change).await.outcome(), stale, "{bad}");
            let headers = [("if-match", bad)];
            let what = (Method::DELETE, path.as_str());
            let kept = scene.server.send_with(what, &scene.owner, &headers, None).await;
            assert_eq!(kept.outcome(), stale, "{bad}");
        }
        assert_eq!(scene.server.get(path, &scene.owner).await.text, now.text);
        // What is not there is not there, whatever the condition; and 422 comes before it.
        let absent = format!("{}{}", &path[..path.len() - 12], "000000000000");
        assert_eq!(
            scene.patch(&absent, Some("\"x\""), change).await.outcome(),
            problem(404, "not-found")
        );
        let wrong = scene.patch(path, Some("\"x\""), &json!({"x": 1})).await;
        assert_eq!(wrong.outcome(), problem(422, "invalid-fields"));
    }
    for (path, _) in scene.things.iter().rev() {
        let tag = scene.tag(path).await;
        let headers = [("if-match", tag.as_str())];
        let what = (Method::DELETE, path.as_str());
        let gone = scene.server.send_with(what, &scene.owner, &headers, None).await;
        assert_eq!(gone.status, 204, "{gone:?}");
    }
}

/// Two who have seen the same change it at the same moment: one is told. Without the condition both go
/// through, which is the control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_to_the_same_state_one_is_told() {
    let scene = Arc::new(scene().await);
    for round in 0..ROUNDS {
        for thing in 0..2 {
            for conditional in [true, false] {
                let tag = scene.tag(&scene.things[thing].0).await;
                let mut outcomes = at_once(2, |number| {
                    let (scene, tag) = (Arc::clone(&scene), tag.clone());
                    async move {
                        let path = &scene.things[thing].0;
                        let field = if thing == 0 { "name" } else { "title" };
                        let change = json!({field: format!("{round} {number}")});
                        scene.patch(path, conditional.then_some(&*tag), &change).await.outcome()
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
async fn what_the_client_has_is_not_sent_again() {
    let scene = scene().await;
    for (path, change) in &scene.things {
        let tag = scene.tag(path).await;
        let ask = async |known: &str| {
            let headers = [("if-none-match", known)];
            let what = (Method::GET, path.as_str());
            scene.server.send_with(what, &scene.owner, &headers, None).await
        };
        for known in [tag.as_str(), "*", &format!("W/{tag}"), &format!("\"x\",{tag}")] {
            let answer = ask(known).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
            assert_eq!(answer.header("etag"), tag);
        }
        assert_eq!(ask("\"x\"").await.status, 200);
        assert_eq!(scene.patch(path, None, change).await.status, 200);
        assert_eq!(ask(&tag).await.status, 200);
    }
}

/// The assignee's leaving changes a task without anybody's asking for it, and its tag too.
#[tokio::test]
async fn a_change_that_nobody_asked_for_shows_in_the_tag() {
    let scene = scene().await;
    let (server, owner) = (&scene.server, &scene.owner);
    let task = &scene.things[1].0;
    let org = task.rsplit_once("/tasks/").unwrap().0;
    let member = server.sign_in("member").await;
    server.join(org, owner, &member, "member").await;
    let assigned = scene.patch(task, None, &json!({"assigned_to": member.id})).await;
    let tag = assigned.header("etag").to_owned();
    let left = server.delete(&format!("{org}/members/{}", member.id), &member).await;
    assert_eq!(left.status, 204);
    let refused = scene.patch(task, Some(&tag), &json!({"title": "x"})).await;
    assert_eq!(refused.outcome(), problem(412, "precondition-failed"));
}
